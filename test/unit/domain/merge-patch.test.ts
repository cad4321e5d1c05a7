import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Json, mergePatchBetween } from '../../../core/domain/merge-patch.ts';

/** RFC 7386, section 2, as the API server applies it. */
function apply(target: Json | undefined, patch: Json): Json {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const before = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {};
  const after = new Map(Object.entries(before));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) after.delete(key);
    else after.set(key, apply(after.get(key), value as Json));
  }
  return Object.fromEntries(after);
}

const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.integer(),
    fc.constantFrom('a', 'b', true),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('x', 'y', 'z'), tie('value'), { noNullPrototype: true }),
  ),
})).value;
const object = fc.dictionary(fc.constantFrom('x', 'y', 'z'), json, { noNullPrototype: true });

test('the patch turns the one into the other', () => {
  fc.assert(
    fc.property(object, object, (before, after) => {
      expect(apply(before, mergePatchBetween(before, after) ?? {})).toEqual(after);
    }),
  );
});

test('what differs in nothing needs no patch, whatever the order of its keys', () => {
  fc.assert(
    fc.property(object, (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      expect(mergePatchBetween(reversed, value)).toBeUndefined();
    }),
  );
});

test('only what differs is written', () => {
  const before = { pools: { a: { free: 1, disks: ['x'] }, gone: {} }, state: 'Ready' };
  const after = { pools: { a: { free: 2, disks: ['x'] } }, state: 'Ready' };
  expect(mergePatchBetween(before, after)).toEqual({ pools: { a: { free: 2 }, gone: null } });
});

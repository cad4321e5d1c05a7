/** Objects as somebody might write them who is careless or means harm. */
import fc from 'fast-check';

/** What no shell, path, LVM or Kubernetes should get to see as a name. */
const HOSTILE_NAMES = [
  '',
  '-rf',
  '.',
  '..',
  '../../etc/passwd',
  'a/b',
  'a b',
  'a\nb',
  'a\u0000b',
  "a';reboot;'",
  '$(reboot)',
  '`reboot`',
  'a,b=c',
  'Data',
  'data_tdata',
  'data_rehome_metadata',
  'snapshot0',
  'pvmove0',
  'x'.repeat(128),
  'x'.repeat(254),
  'дата',
  '\ud800',
];

export const hostileName: fc.Arbitrary<string> = fc.oneof(fc.constantFrom(...HOSTILE_NAMES), fc.string({ maxLength: 300 }));

const nonsense: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom(0, -1, 1.5, 'true', '', {}, [], null, undefined), fc.jsonValue());

/** A field that is right, wrong, of another type, or missing. */
const field = <T>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ arbitrary: right, weight: 20 }, { arbitrary: wrong, weight: 2 }, { arbitrary: nonsense, weight: 1 });

/** @param volumes and nodes that there are, and that there might be. */
export function migrateSpec(volumes: readonly string[], nodes: readonly string[]): fc.Arbitrary<Record<string, unknown>> {
  const node = fc.constantFrom(...nodes);
  return fc.record(
    {
      volumeName: field(fc.constantFrom(...volumes), hostileName),
      sourceNode: field(node, hostileName),
      targetNodesSuggested: field(fc.array(node, { maxLength: 3 }), fc.array(fc.oneof(node, hostileName), { maxLength: 120 })),
      migrateAllVols: field(fc.boolean(), nonsense),
      abort: field(fc.oneof({ arbitrary: fc.constant(false), weight: 5 }, fc.constant(true)), nonsense),
      somethingElse: nonsense,
    },
    { requiredKeys: ['volumeName', 'sourceNode'] },
  );
}

/** Sizes and counts beside the ones that are meant. */
export const hostileNumber: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    0,
    -1,
    -0,
    1,
    4_194_303,
    4_194_304,
    4_194_304.5,
    -4_194_304,
    2 ** 53,
    2 ** 63,
    2 ** 64,
    1e300,
    '4194304',
    '4Mi',
    '',
    {},
    [],
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

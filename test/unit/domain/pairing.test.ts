import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeVolumeFacts } from '../../../core/contracts/node-activities.ts';
import { choosePairing, isClosed } from '../../../core/domain/pairing.ts';

type Mirror = NonNullable<NodeVolumeFacts['mirror']>;
const whole: Mirror = { migrationUid: 'this', pairing: 3, attached: true, inserted: true };

function source(mirror: Mirror | undefined, active = true): NodeVolumeFacts {
  const logicalVolume = { sizeBytes: 1, segmentTypes: ['linear'], hasSnapshots: false, active, open: false, logicalBlockSizeBytes: 512 };
  return { volumeGroupFound: true, logicalVolume, ...(mirror && { mirror }) };
}

describe('a pairing', () => {
  test('is the first where none was begun', () => {
    expect(choosePairing(undefined, source(undefined), 'this')).toBe(1);
  });

  test.each<[string, NodeVolumeFacts]>([
    ['stands beneath the volume', source(whole)],
    ['stands, and the volume was closed', source({ ...whole, inserted: false }, false)],
  ])('goes on while its mirror %s', (_, found) => {
    expect(choosePairing(3, found, 'this')).toBe(3);
  });

  test.each<[string, NodeVolumeFacts]>([
    ['is gone', source(undefined)],
    ['is not in the kernel, as after a restart', source({ ...whole, attached: false, inserted: false })],
    ['was taken from beneath the volume', source({ ...whole, inserted: false })],
    ['is of an earlier pairing', source({ ...whole, pairing: 2 })],
    ['is of another migration', source({ ...whole, migrationUid: 'another' })],
  ])('is followed by the next where its mirror %s', (_, found) => {
    expect(choosePairing(3, found, 'this')).toBe(4);
  });
});

test('a volume is closed when its device is gone and its mirror is not', () => {
  expect(isClosed(source(whole, false))).toBe(true);
  expect(isClosed(source(whole))).toBe(false);
  expect(isClosed(source({ ...whole, attached: false }, false))).toBe(false);
  expect(isClosed(source(undefined, false))).toBe(false);
});

test('a volume that somebody else deactivated is not closed, and its mirror begins anew', () => {
  const deactivated = source({ ...whole, inserted: false, closed: false }, false);
  expect(isClosed(deactivated)).toBe(false);
  expect(choosePairing(3, deactivated, 'this')).toBe(4);
  expect(isClosed(source({ ...whole, inserted: false, closed: true }, false))).toBe(true);
});

test('a pairing never goes back, and goes on only with a mirror that the source kernel holds', () => {
  const mirror = fc.option(
    fc.record({
      migrationUid: fc.constantFrom('this', 'another'),
      pairing: fc.integer({ min: 0, max: 4 }),
      attached: fc.boolean(),
      inserted: fc.boolean(),
    }),
    { nil: undefined },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), mirror, fc.boolean(), (recorded, found, active) => {
      const pairing = choosePairing(recorded, source(found, active), 'this');
      expect(pairing - recorded).toBeGreaterThanOrEqual(0);
      if (pairing === recorded) expect(found).toMatchObject({ migrationUid: 'this', pairing: recorded, attached: true });
    }),
  );
});

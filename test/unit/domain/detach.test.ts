import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { WriteCounters } from '../../../core/contracts/migration.ts';
import type { DetachFacts } from '../../../core/contracts/node-activities.ts';
import { judgeDetach } from '../../../core/domain/detach.ts';

const counters = (writtenSectors: number, discardedSectors = 0): WriteCounters => ({ writtenSectors, discardedSectors });
const facts: DetachFacts = {
  inserted: true,
  open: false,
  connectedUpToDate: true,
  outOfSyncBytes: 0,
  volume: counters(1500, 20),
  mirror: counters(700, 24),
  base: { volume: counters(1000, 0), mirror: counters(200, 4) },
};

describe('the detach test', () => {
  test.each<[string, Partial<DetachFacts>, string]>([
    ['is passed when volume and mirror have grown alike', {}, 'proven'],
    ['waits for whoever has the volume open', { open: true }, 'inUse'],
    ['says so when the mirror was taken out', { inserted: false }, 'bypassed'],
    ['lets a mirror that is not connected catch up', { connectedUpToDate: false }, 'behind'],
    ['lets a mirror with blocks out of sync catch up', { outOfSyncBytes: 4096 }, 'behind'],
    ['proves nothing when something was written past the mirror', { volume: counters(1508, 20) }, 'unproven'],
    ['proves nothing when something was discarded past the mirror', { volume: counters(1500, 28) }, 'unproven'],
    ['proves nothing when the devices were made anew', { volume: counters(900, 0), mirror: counters(100, 4) }, 'unproven'],
    ['looks at openers before anything else', { open: true, inserted: false, connectedUpToDate: false }, 'inUse'],
  ])('%s', (_, change, kind) => {
    expect(judgeDetach({ ...facts, ...change })).toMatchObject({ kind });
  });

  test('says by how much the counters differ', () => {
    expect(judgeDetach({ ...facts, volume: counters(1508, 20) })).toEqual({
      kind: 'unproven',
      message: "since the insertion the volume's counters grew by 508 sectors (20 discarded), the mirror's by 500 sectors (20 discarded)",
    });
  });
});

test('is never passed by a volume that is open, past its mirror, out of sync, or has grown by anything else than its mirror', () => {
  const sectors = fc.integer({ min: 0, max: 1 });
  const counter = fc.record({ writtenSectors: sectors, discardedSectors: sectors });
  const any = fc.record({
    inserted: fc.boolean(),
    open: fc.boolean(),
    connectedUpToDate: fc.boolean(),
    outOfSyncBytes: fc.constantFrom(0, 4096),
    volume: counter,
    mirror: counter,
    base: fc.record({ volume: counter, mirror: counter }),
  });
  fc.assert(
    fc.property(any, (given) => {
      if (judgeDetach(given).kind !== 'proven') return;
      expect(given).toMatchObject({ inserted: true, open: false, connectedUpToDate: true, outOfSyncBytes: 0 });
      const { volume, mirror, base } = given;
      for (const field of ['writtenSectors', 'discardedSectors'] as const) {
        expect(volume[field] - base.volume[field]).toBe(mirror[field] - base.mirror[field]);
      }
    }),
    { numRuns: 2000 },
  );
});

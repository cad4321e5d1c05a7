import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outstandingReservations } from '../../../core/domain/reserved-space.ts';
import { type LogicalVolumeFacts, reportStorageNode } from '../../../core/domain/storage-node-report.ts';

const POOL = 'LocalStorage_PoolHDD';
const TOTAL = 10_000;
const METADATA = 4;

/** How far a migration's target has come, in order. */
const STAGES = ['reserved', 'metadata', 'copying', 'cutOver', 'released'] as const;
type Stage = (typeof STAGES)[number];

interface Arrival {
  readonly volume: string;
  readonly bytes: number;
  readonly stage: Stage;
}

function logicalVolumesOf({ volume, bytes, stage }: Arrival): LogicalVolumeFacts[] {
  const migration = `rehome.io/migration=${volume}`;
  const common = { volumeGroup: POOL, active: true, open: false, thinPool: '', devices: [] };
  const metadata = { ...common, name: `${volume}_m`, sizeBytes: METADATA, tags: [migration, `rehome.io/volume=${volume}`] };
  const copy = (tags: string[]) => ({ ...common, name: volume, sizeBytes: bytes, tags });
  const standing: Record<Stage, LogicalVolumeFacts[]> = {
    reserved: [],
    metadata: [metadata],
    copying: [metadata, copy([migration])],
    cutOver: [metadata, copy([migration, `rehome.io/cut-over=${volume}`])],
    released: [copy([])],
  };
  return standing[stage];
}

/** What a planner finds left of the pool, with the agent's report of these arrivals and a reservation for each. */
function roomLeft(arrivals: readonly Arrival[]): number {
  const logicalVolumes = arrivals.flatMap(logicalVolumesOf);
  const used = logicalVolumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const storage = { logicalVolumes, physicalVolumes: [], thinPools: [], replicatedVolumes: [] };
  const volumeGroups = [{ name: POOL, sizeBytes: TOTAL, freeBytes: TOTAL - used }];
  const { pools = {} } = reportStorageNode({ ...storage, volumeGroups }, undefined, { now: '2026-05-01T12:00:00Z' });
  const reservations = new Map(arrivals.map(({ volume, bytes }) => [volume, { pool: POOL, bytes: bytes + METADATA, id: volume }]));
  const outstanding = outstandingReservations(reservations, pools);
  return pools[POOL]!.freeCapacityBytes - outstanding.reduce((sum, { bytes }) => sum + bytes, 0);
}

const arrivals = fc.uniqueArray(
  fc.record({
    volume: fc.constantFrom('a', 'b', 'c', 'd'),
    bytes: fc.integer({ min: 1, max: 100 }),
    stage: fc.constantFrom(...STAGES),
  }),
  { selector: ({ volume }) => volume },
);

describe('however far the volumes that come to a node are', () => {
  test('each takes its room exactly once, and its metadata volume until that is gone', () => {
    fc.assert(
      fc.property(arrivals, (coming) => {
        const taken = coming.reduce((sum, { bytes, stage }) => sum + bytes + (stage === 'released' ? 0 : METADATA), 0);
        expect(roomLeft(coming)).toBe(TOTAL - taken);
      }),
    );
  });
});

test('a reservation for another pool is left to that pool', () => {
  const reservations = new Map([['a', { pool: 'other', bytes: 5, id: 'u' }]]);
  expect(outstandingReservations(reservations, {})).toEqual([{ volume: 'a', pool: 'other', bytes: 5 }]);
});

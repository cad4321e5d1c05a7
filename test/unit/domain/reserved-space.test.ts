import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { outstandingReservations } from '../../../core/domain/reserved-space.ts';
import { type LogicalVolumeFacts, reportStorageNode } from '../../../core/domain/storage-node-report.ts';
import { allocatedAtLeast } from '../../../core/domain/thin-space.ts';

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
  const common = { volumeGroup: POOL, active: true, open: false, thinPool: '', dataPercent: 0, devices: [] };
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

describe('a thin volume that comes to a node', () => {
  const MiB = 2 ** 20;
  const SIZE = 1000 * MiB;
  const migration = 'rehome.io/migration=u';
  const metadata = { name: 'a_m', sizeBytes: 4 * MiB, tags: [migration, 'rehome.io/volume=a'], thinPool: '', dataPercent: 0 };
  const copy = (dataPercent: number, ...tags: string[]) => ({ name: 'a', sizeBytes: SIZE, tags, thinPool: 'tp', dataPercent });
  const reservation = { pool: POOL, bytes: 4 * MiB, id: 'u', thin: { pool: 'tp', bytes: 300 * MiB, promisedBytes: SIZE } };

  const missing = reservation.thin.bytes - allocatedAtLeast(SIZE, 10);

  const outstanding = (logicalVolumes: readonly ReturnType<typeof copy>[]) => {
    const storage = {
      physicalVolumes: [],
      thinPools: [],
      replicatedVolumes: [],
      volumeGroups: [{ name: POOL, sizeBytes: 1, freeBytes: 1 }],
    };
    const common = { volumeGroup: POOL, active: true, open: false, devices: [] };
    const facts = { ...storage, logicalVolumes: logicalVolumes.map((volume) => ({ ...common, ...volume })) };
    const { pools = {} } = reportStorageNode(facts, undefined, { now: '2026-05-01T12:00:00Z' });
    return outstandingReservations(new Map([['a', reservation]]), pools)[0];
  };

  test.each<[string, ReturnType<typeof copy>[], object | undefined]>([
    ['is all reserved at first', [], { bytes: 4 * MiB, thin: { bytes: 300 * MiB, promisedBytes: SIZE } }],
    ['is still, once its metadata volume stands', [metadata], { bytes: 0, thin: { bytes: 300 * MiB, promisedBytes: SIZE } }],
    [
      'is promised by the thin pool itself once it is made',
      [metadata, copy(0, migration)],
      { thin: { bytes: 300 * MiB, promisedBytes: 0 } },
    ],
    ['keeps reserved what it has not taken yet', [metadata, copy(10, migration)], { bytes: 0, thin: { bytes: missing } }],
    ['has its metadata in a file, where the group has no room', [copy(10, migration)], { bytes: 4 * MiB, thin: { bytes: missing } }],
    ['needs nothing more where it has taken more than was known', [metadata, copy(90, migration)], { thin: { bytes: 0 } }],
    ['needs nothing once it is cut over', [metadata, copy(30, migration, 'rehome.io/cut-over=u')], undefined],
  ])('%s', (_, logicalVolumes, expected) => {
    const found = outstanding(logicalVolumes);
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject(expected);
  });
});

test('a reservation for another pool is left to that pool', () => {
  const reservations = new Map([['a', { pool: 'other', bytes: 5, id: 'u' }]]);
  expect(outstandingReservations(reservations, {})).toEqual([{ volume: 'a', pool: 'other', bytes: 5 }]);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LocalStorageNodeStatus, LocalVolumeReplicaStatus } from '../../../core/contracts/objects/index.ts';
import { mergePatchBetween } from '../../../core/domain/merge-patch.ts';
import {
  type LogicalVolumeFacts,
  reportReplica as reportReplicaAt,
  reportStorageNode,
  type StorageFacts,
} from '../../../core/domain/storage-node-report.ts';
import { storageFacts as facts, logicalVolumeFacts as logicalVolume, POOL } from '../../storage-facts.ts';

const MiB = 2 ** 20;
const NOW = '2026-05-01T12:00:00Z';

const reportReplica = (storage: StorageFacts, spec: { volumeName: string; poolName: string }, previous?: LocalVolumeReplicaStatus) =>
  reportReplicaAt(storage, spec, previous, { now: NOW });

const poolOf = (storage: StorageFacts) => reportStorageNode(storage, undefined, { now: NOW }).pools?.[POOL];

describe('a pool', () => {
  test('says what the volume group says', () => {
    expect(poolOf(facts({ logicalVolumes: [logicalVolume('b'), logicalVolume('a')] }))).toEqual({
      name: POOL,
      class: 'HDD',
      type: 'REGULAR',
      path: `/dev/${POOL}`,
      totalCapacityBytes: 1000 * MiB,
      usedCapacityBytes: 400 * MiB,
      freeCapacityBytes: 600 * MiB,
      volumeCapacityBytesLimit: 1000 * MiB,
      totalVolumeCount: 1000,
      usedVolumeCount: 2,
      freeVolumeCount: 998,
      disks: [{ devPath: '/dev/sda', type: 'HDD', capacityBytes: 1000 * MiB, state: 'InUse' }],
      volumes: ['a', 'b'],
    });
  });

  const migration = 'rehome.io/migration=77aa';
  test.each<[string, LogicalVolumeFacts[], string[], { volume: string; bytes: number }[] | undefined]>([
    ['lists a volume', [logicalVolume('data')], ['data'], undefined],
    [
      'lists a volume that leaves, without its metadata volume',
      [logicalVolume('data'), logicalVolume('data_m', { sizeBytes: 4 * MiB, tags: [migration, 'rehome.io/volume=data'] })],
      ['data'],
      undefined,
    ],
    [
      'does not list a volume that arrives, but says what stands of it',
      [
        logicalVolume('copy', { tags: [migration] }),
        logicalVolume('copy_m', { sizeBytes: 4 * MiB, tags: [migration, 'rehome.io/volume=copy'] }),
      ],
      [],
      [{ volume: 'copy', bytes: 68 * MiB }],
    ],
    [
      'says it also while only its metadata volume stands',
      [logicalVolume('copy_m', { sizeBytes: 4 * MiB, tags: [migration, 'rehome.io/volume=copy'] })],
      [],
      [{ volume: 'copy', bytes: 4 * MiB }],
    ],
    ['lists a volume that was cut over', [logicalVolume('copy', { tags: [migration, 'rehome.io/cut-over=77aa'] })], ['copy'], undefined],
    ['lists no volume of another group', [logicalVolume('data', { volumeGroup: 'other' })], [], undefined],
  ])('%s', (_, logicalVolumes, volumes, arriving) => {
    const pool = poolOf(facts({ logicalVolumes }));
    expect(pool).toMatchObject({ volumes, usedVolumeCount: volumes.length });
    expect(pool?.arriving).toEqual(arriving);
  });

  test.each([
    ['LocalStorage_PoolNVMe', 'NVMe'],
    ['LocalStorage_PoolSSD', 'SSD'],
    ['LocalStorage_PoolHDD', 'HDD'],
    ['LocalStorage_PoolTape', 'HDD'],
  ])('named %s is of class %s', (name, poolClass) => {
    const { pools } = reportStorageNode(facts({ volumeGroups: [{ name, sizeBytes: 1, freeBytes: 1 }] }), undefined, { now: NOW });
    expect(pools?.[name]?.class).toBe(poolClass);
  });

  describe('whose volume group LVM no longer shows', () => {
    const before = reportStorageNode(facts({ logicalVolumes: [logicalVolume('a')] }), undefined, { now: NOW });
    const gone = facts({ volumeGroups: [], physicalVolumes: [], logicalVolumes: [] });

    test('keeps its volumes and has no room, until it is back', () => {
      const vanished = reportStorageNode(gone, before, { now: NOW });
      expect(vanished.pools?.[POOL]).toMatchObject({
        volumes: ['a'],
        freeCapacityBytes: 0,
        freeVolumeCount: 0,
        disks: [{ devPath: '/dev/sda', state: 'Offline' }],
      });
      expect(reportStorageNode(gone, vanished, { now: NOW })).toEqual(vanished);
      expect(reportStorageNode(facts(), vanished, { now: NOW }).pools?.[POOL]).toMatchObject({ volumes: [], freeCapacityBytes: 600 * MiB });
    });

    test('goes where it had no volumes, or is no pool any more', () => {
      expect(reportStorageNode(gone, reportStorageNode(facts(), undefined, { now: NOW }), { now: NOW }).pools).toEqual({});
      expect(reportStorageNode(gone, before, { pools: ['other'], now: NOW }).pools).toEqual({});
    });
  });

  test('shows a disk that is gone as offline', () => {
    const physicalVolumes = [{ device: '[unknown]', volumeGroup: POOL, sizeBytes: 5, missing: true }];
    expect(poolOf(facts({ physicalVolumes }))?.disks).toEqual([{ devPath: '[unknown]', type: 'HDD', capacityBytes: 5, state: 'Offline' }]);
  });
});

describe('which volume groups are pools', () => {
  const volumeGroups = ['system', 'vg_data', POOL].map((name) => ({ name, sizeBytes: 2, freeBytes: 1 }));
  test.each([
    ["those with HwameiStor's names, unless told otherwise", undefined, [POOL]],
    ['those that the configuration names', ['vg_data', 'absent'], ['vg_data']],
  ])('%s', (_, pools, expected) => {
    expect(Object.keys(reportStorageNode(facts({ volumeGroups }), undefined, { pools, now: NOW }).pools ?? {})).toEqual(expected);
  });
});

test.each([
  ['never written', undefined, 'Ready'],
  ['said to be offline while its agent was silent', 'Offline', 'Ready'],
  ['under maintenance by a person', 'Maintain', 'Maintain'],
] as const)('a node %s is %s now', (_, state, expected) => {
  expect(reportStorageNode(facts(), state && { state }, { now: NOW }).state).toBe(expected);
});

describe('a thin pool', () => {
  const thinPool = {
    volumeGroup: POOL,
    name: 'LocalStorage_ThinPool',
    sizeBytes: 64 * MiB,
    metadataSizeBytes: 4 * MiB,
    chunkSizeBytes: 65_536,
  };
  const thin = (dataPercent: number): StorageFacts =>
    facts({
      thinPools: [{ ...thinPool, dataPercent, metadataPercent: 10.94 }],
      logicalVolumes: [logicalVolume('t', { thinPool: 'LocalStorage_ThinPool', sizeBytes: 48 * MiB, devices: [] })],
    });
  const claimed = (...ratios: (string | undefined)[]): LocalStorageNodeStatus => ({
    thinPoolExtendRecords: {
      [POOL]: ratios.map((overProvisionRatio) => ({ description: overProvisionRatio === undefined ? {} : { overProvisionRatio } })),
    },
  });
  const reportedBeside = (previous: LocalStorageNodeStatus | undefined) =>
    reportStorageNode(thin(14.5), previous, { now: NOW }).pools?.[POOL]?.thinPool;

  test('says how full it is and what lives in it', () => {
    expect(poolOf(thin(14.5))?.thinPool).toEqual({
      name: 'LocalStorage_ThinPool',
      size: 64 * MiB,
      metadataSize: 4 * MiB,
      dataPercent: '14.50',
      metadataPercent: '10.94',
      totalProvisionedSize: 48 * MiB,
      currentProvisionRatio: '0.75',
      overProvisionRatio: '1.0',
      chunkSize: 65_536,
      thinVolumes: ['t'],
      state: {
        type: 'PoolState',
        status: 'True',
        reason: 'PoolStateNormal',
        message: 'the thin pool is healthy',
        lastTransitionTime: NOW,
      },
    });
  });

  test.each([
    ['the latest claim that names one', claimed('3.0', '1.5', undefined), '1.5'],
    ['1.0 where no claim names one', claimed(undefined), '1.0'],
  ])('may be overprovisioned by the ratio of %s', (_, previous, ratio) => {
    expect(reportedBeside(previous)?.overProvisionRatio).toBe(ratio);
  });

  test('of another name stands beside it, and nobody has said how much it may promise', () => {
    const other = { ...thinPool, name: 'fast', dataPercent: 1, metadataPercent: 1 };
    const storage = facts({ ...thin(14.5), thinPools: [other, ...thin(14.5).thinPools] });
    const pool = poolOf(storage);
    expect(pool?.thinPool).toMatchObject({ name: 'LocalStorage_ThinPool', overProvisionRatio: '1.0' });
    expect(pool?.otherThinPools).toMatchObject([{ name: 'fast', totalProvisionedSize: 0, chunkSize: 65_536 }]);
    expect(pool?.otherThinPools?.[0]).not.toHaveProperty('overProvisionRatio');
    expect(poolOf(thin(14.5))).not.toHaveProperty('otherThinPools');
  });

  test('warns of promised space by what may be promised', () => {
    expect(reportedBeside(claimed('0.9'))?.state).toMatchObject({
      reason: 'PoolStateWarning',
      message: expect.stringContaining('promised space'),
    });
    expect(reportedBeside(claimed('1.5'))?.state).toMatchObject({ reason: 'PoolStateNormal' });
  });

  test('warns from 80 % on, and keeps the time since when', () => {
    const first = reportStorageNode(thin(80), undefined, { now: NOW });
    const later = reportStorageNode(thin(81), first, { now: '2026-05-01T13:00:00Z' });
    expect(later.pools?.[POOL]?.thinPool?.state).toMatchObject({ reason: 'PoolStateWarning', lastTransitionTime: NOW });
  });
});

describe('a replica', () => {
  const spec = { volumeName: 'data', poolName: POOL };
  const lost = { devices: ['/dev/sda', '[unknown]'] };
  const broken = [{ device: '[unknown]', volumeGroup: POOL, sizeBytes: 1, missing: true }];
  const ready = { state: 'Ready', synced: true, inuse: false };
  const notReady = { state: 'NotReady', synced: true, inuse: false };

  test.each<[string, Partial<StorageFacts>, object]>([
    ['is ready', { logicalVolumes: [logicalVolume('data')] }, ready],
    ['in use is ready', { logicalVolumes: [logicalVolume('data', { open: true })] }, { ...ready, inuse: true }],
    ['without a device is not ready', { logicalVolumes: [logicalVolume('data', { active: false })] }, notReady],
    ['on a disk that is gone is not ready', { logicalVolumes: [logicalVolume('data', lost)], physicalVolumes: broken }, notReady],
    [
      'in the midst of its sync is neither ready nor synced',
      { logicalVolumes: [logicalVolume('data', { tags: ['rehome.io/migration=7'] })] },
      { state: 'NotReady', synced: false },
    ],
    [
      'that was cut over is ready',
      { logicalVolumes: [logicalVolume('data', { tags: ['rehome.io/migration=7', 'rehome.io/cut-over=7'] })] },
      ready,
    ],
    [
      'kept by DRBD is in use where it is Primary',
      {
        logicalVolumes: [logicalVolume('data', { open: true })],
        replicatedVolumes: [{ resource: 'data', role: 'Primary', disk: 'UpToDate' }],
      },
      { ...ready, inuse: true, devPath: `/dev/${POOL}-HA/data`, storagePath: `/dev/${POOL}/data`, haState: { state: 'Consistent' } },
    ],
    [
      'kept by DRBD is not synced in the midst of a resync',
      {
        logicalVolumes: [logicalVolume('data', { open: true })],
        replicatedVolumes: [{ resource: 'data', role: 'Secondary', disk: 'Inconsistent' }],
      },
      { state: 'NotReady', synced: false, inuse: false, haState: { state: 'Inconsistent', reason: 'the disk is Inconsistent' } },
    ],
    [
      "takes no notice of a mirror's resource",
      {
        logicalVolumes: [logicalVolume('data')],
        replicatedVolumes: [{ resource: 'data_rehome', role: 'Primary', disk: 'UpToDate' }],
      },
      { ...ready, devPath: `/dev/${POOL}/data` },
    ],
  ])('%s', (_, change, expected) => {
    expect(reportReplica(facts(change), spec)).toMatchObject(expected);
  });

  test('says its device, its size and each of its disks once', () => {
    const logicalVolumes = [logicalVolume('data', { devices: ['/dev/sdb', '/dev/sda', '/dev/sdb'] })];
    expect(reportReplica(facts({ logicalVolumes }), spec)).toMatchObject({
      storagePath: `/dev/${POOL}/data`,
      devPath: `/dev/${POOL}/data`,
      disks: ['/dev/sda', '/dev/sdb'],
      allocatedCapacityBytes: 64 * MiB,
    });
  });

  test.each([
    ['whose logical volume is not there', []],
    ['whose logical volume lies in another pool', [logicalVolume('data', { volumeGroup: 'LocalStorage_PoolSSD' })]],
  ])('%s has no device, and is not ready', (_, logicalVolumes) => {
    const { conditions, ...status } = reportReplica(facts({ logicalVolumes }), spec);
    expect(status).toEqual({ state: 'NotReady', synced: false, inuse: false });
    expect(conditions).toMatchObject([{ type: 'Ready', status: 'False', reason: 'LogicalVolumeMissing' }]);
  });

  test.each<[string, Partial<StorageFacts>, string]>([
    ['there and whole', { logicalVolumes: [logicalVolume('data')] }, 'Ready'],
    ['without a device', { logicalVolumes: [logicalVolume('data', { active: false })] }, 'Inactive'],
    ['on a disk that is gone', { logicalVolumes: [logicalVolume('data', lost)], physicalVolumes: broken }, 'DiskMissing'],
    ['in the midst of its sync', { logicalVolumes: [logicalVolume('data', { tags: ['rehome.io/migration=7'] })] }, 'Arriving'],
    [
      "in the midst of DRBD's resync",
      { logicalVolumes: [logicalVolume('data')], replicatedVolumes: [{ resource: 'data', role: 'Secondary', disk: 'Inconsistent' }] },
      'Inconsistent',
    ],
  ])('%s says so in its condition', (_, change, reason) => {
    const { state, conditions } = reportReplica(facts(change), spec);
    expect(conditions).toMatchObject([{ type: 'Ready', status: state === 'Ready' ? 'True' : 'False', reason, lastTransitionTime: NOW }]);
  });

  test("keeps others' conditions, and the time since when it is Ready", () => {
    const since = '2026-04-30T00:00:00Z';
    const created = { type: 'Create', status: 'True', reason: 'Create' } as const;
    const conditions = [{ type: 'Ready', status: 'True', reason: 'Ready', lastTransitionTime: since } as const, created];
    const previous: LocalVolumeReplicaStatus = { synced: true, inuse: false, conditions };
    const ready = reportReplica(facts({ logicalVolumes: [logicalVolume('data')] }), spec, previous);
    expect(ready.conditions).toMatchObject([created, { type: 'Ready', lastTransitionTime: since }]);
    const gone = reportReplica(facts(), spec, previous);
    expect(gone.conditions).toMatchObject([created, { type: 'Ready', status: 'False', lastTransitionTime: NOW }]);
  });

  test('kept by DRBD before, and no longer in the kernel, is down', () => {
    const previous: LocalVolumeReplicaStatus = {
      synced: true,
      inuse: false,
      devPath: `/dev/${POOL}-HA/data`,
      haState: { state: 'Consistent' },
    };
    expect(reportReplica(facts({ logicalVolumes: [logicalVolume('data')] }), spec, previous)).toMatchObject({
      state: 'NotReady',
      synced: false,
      haState: { state: 'Down' },
    });
  });
});

describe('whatever stands on a node', () => {
  const migrationTags = fc.subarray(['rehome.io/migration=u', 'rehome.io/cut-over=u', 'rehome.io/volume=a']);
  const logicalVolumes = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      tags: migrationTags,
      sizeBytes: fc.integer({ min: 1, max: 64 }),
    }),
    { selector: ({ name }) => name },
  );
  const storage = logicalVolumes.map((volumes) =>
    facts({ logicalVolumes: volumes.map(({ name, ...change }) => logicalVolume(name, change)) }),
  );

  test('every logical volume is listed, arriving, or metadata', () => {
    fc.assert(
      fc.property(storage, (node) => {
        const pool = poolOf(node)!;
        const metadata = node.logicalVolumes.filter(({ tags }) => tags.includes('rehome.io/volume=a')).map(({ name }) => name);
        const accounted = [...pool.volumes!, ...(pool.arriving ?? []).map(({ volume }) => volume), ...metadata];
        expect(new Set(accounted)).toEqual(new Set([...node.logicalVolumes.map(({ name }) => name), ...accounted]));
        expect(pool.volumes!.some((name) => metadata.includes(name))).toBe(false);
        expect(pool.usedVolumeCount + pool.freeVolumeCount).toBe(pool.totalVolumeCount);
      }),
    );
  });

  test('an unchanged node is not written again, whatever order LVM lists it in', () => {
    const later = { now: '2027-01-01T00:00:00Z' };
    fc.assert(
      fc.property(storage, (node) => {
        const first = reportStorageNode(node, undefined, { now: NOW });
        const reversed = { ...node, logicalVolumes: node.logicalVolumes.toReversed() };
        expect(mergePatchBetween(first, reportStorageNode(reversed, first, later))).toBeUndefined();
        const spec = { volumeName: 'a', poolName: POOL };
        const replica = reportReplica(node, spec);
        expect(mergePatchBetween(replica, reportReplicaAt(reversed, spec, replica, later))).toBeUndefined();
      }),
    );
  });
});

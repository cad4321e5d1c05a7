import { describe, expect, test } from 'vitest';
import { sweepAborted } from '../../../../activities/node/index.ts';
import { EVERY_CRASH, expectRestored, expectSameEnd } from './crash-trials.ts';
import { type FakeCluster, MiB, mirror } from './fake-cluster.ts';
import { abort, close, copy, cutOver, move, newCluster, typeOf } from './scenario.ts';

const POOL = 'LocalStorage_ThinPool';
const DATA = mirror.migration.volume;

const thinPool = { sizeBytes: 256 * MiB, dataPercent: 10, chunkBytes: 65_536 };

/** The volume is thin, and a quarter of it was written to. @param onTarget in what the target's thin pool is another one. */
function thinCluster(onTarget: Partial<typeof thinPool> = {}): FakeCluster {
  return newCluster(({ n1, n2 }) => {
    n1.thinPools.set(POOL, thinPool);
    n2.thinPools.set(POOL, { ...thinPool, ...onTarget });
    n1.volumes.delete(DATA);
    n1.devices.clear();
    n1.addVolume(DATA, mirror.sizeBytes, 'precious', { thinPool: POOL, dataPercent: 25 });
  });
}

describe('a thin volume', () => {
  test.each([
    [8, 8],
    [9, 9],
    [8, 9],
    [9, 8],
  ] as const)(
    'is thin on the target too, in the pool of the same name, and takes no more of it (DRBD %i to %i)',
    async (source, target) => {
      const cluster = thinCluster();
      Object.assign(cluster.n1, { drbd: source });
      Object.assign(cluster.n2, { drbd: target });
      await move(cluster);
      expect(cluster.n2.volumes.get(DATA)).toMatchObject({ content: 'precious', thinPool: POOL, dataPercent: 25, tags: [] });
      expect(cluster.n1.volumes.size).toBe(0);
    },
  );

  test('is observed with its pool, what it has taken of it, and in which pieces', async () => {
    const cluster = thinCluster();
    const { logicalVolume } = await cluster.agent(cluster.n1).observeVolume({ volume: DATA, pool: mirror.pool });
    expect(logicalVolume).toMatchObject({ segmentTypes: ['thin'], thin: { pool: POOL, chunkBytes: 65_536 } });
    expect(logicalVolume!.thin!.allocatedBytes).toBeGreaterThanOrEqual(16 * MiB);
    expect(logicalVolume!.thin!.allocatedBytes).toBeLessThan(16.1 * MiB);
  });

  test.each<[string, Partial<typeof thinPool> | undefined, string]>([
    ['has no such pool', undefined, 'NoSuchThinPool'],
    ['has a pool that is too full', { dataPercent: 95 }, 'PoolFull'],
    ['has a pool of chunks so large that DRBD could not leave out zeros', { dataPercent: 80, chunkBytes: 2 * MiB }, 'PoolFull'],
  ])('is refused by a target that %s, and both nodes are as they were', async (_, onTarget, reason) => {
    const cluster = thinCluster(onTarget);
    if (!onTarget) cluster.n2.thinPools.clear();
    const untouched = cluster.snapshot();
    expect(await typeOf(copy(cluster))).toBe(reason);
    await abort(cluster);
    expect(cluster.snapshot()).toEqual(untouched);
  });

  test('whose pool fills on the target is told of by its end, when that is looked at again', async () => {
    const cluster = thinCluster();
    await copy(cluster);
    const lookAgain = async (dataPercent: number) => {
      cluster.n2.thinPools.set(POOL, { ...thinPool, dataPercent });
      const sourceEndpoint = await cluster.agent(cluster.n1).allocateEndpoint({ mirror, role: 'source' });
      return cluster.agent(cluster.n2).ensureTargetMirror({ mirror, sourceEndpoint });
    };
    expect(await lookAgain(99.9)).toEqual({});
    expect(await lookAgain(100)).toEqual({ fullThinPool: `${mirror.pool}/${POOL}` });
  });

  test('whose agents die at any command moves all the same', EVERY_CRASH, () =>
    expectSameEnd(thinCluster, undefined, (cluster, when) => expect(cluster.n2.volumes.get(DATA)?.dataPercent, when).toBe(25)),
  );
});

describe('where a volume group has no extent left for metadata', () => {
  const fullCluster = (): FakeCluster =>
    newCluster(({ n1 }) => {
      n1.freeBytes = 0;
    });

  test('a file takes its place, which is gone when the move is over', async () => {
    const cluster = fullCluster();
    await copy(cluster);
    expect(cluster.metadataFiles(cluster.n1)).toEqual(['data_rehome_metadata.tags']);
    expect(cluster.n1.snapshot()).toMatchObject({ files: [expect.stringContaining('data_rehome_metadata.image'), '/dev/loop0'] });
    await close(cluster);
    await cutOver(cluster);
    expect(cluster.metadataFiles(cluster.n1)).toEqual([]);
    expect(cluster.n1.snapshot()).toEqual({ volumes: [], devices: [], resources: [] });
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ name: DATA, tags: [], content: 'precious' }] });
  });

  test('a move whose agents die at any command ends the same', EVERY_CRASH, () => expectSameEnd(fullCluster));

  test('an abort after a crash at any command restores both nodes', EVERY_CRASH, () => expectRestored(fullCluster));

  test('the file is found again after a restart of the target, which goes on from what it has', async () => {
    const cluster = thinCluster();
    const { n2 } = cluster;
    n2.freeBytes = 0;
    await copy(cluster);
    n2.reboot();
    expect(n2.files.loops.size).toBe(0);
    const created = cluster.commands.filter((line) => line.includes('create-md')).length;
    await copy(cluster);
    expect(cluster.commands.filter((line) => line.includes('create-md'))).toHaveLength(created);
    await close(cluster);
    await cutOver(cluster);
    expect(cluster.metadataFiles(n2)).toEqual([]);
    expect(n2.snapshot()).toMatchObject({ volumes: [{ name: DATA, content: 'precious' }], resources: [] });
  });

  test('a source that was restarted begins anew, with another port', async () => {
    const cluster = fullCluster();
    await copy(cluster);
    cluster.n1.reboot();
    await copy(cluster, { ...mirror, pairing: 2 });
    const ports = cluster.commands.flatMap((line) => /n1: drbdsetup connect \S+ (\S+)/.exec(line)?.[1] ?? []);
    expect(new Set(ports).size).toBe(2);
    await abort(cluster, { ...mirror, pairing: 2 });
    expect(cluster.snapshot()).toEqual(fullCluster().snapshot());
  });

  test('what an aborted migration left is swept', async () => {
    const untouched = fullCluster().snapshot();
    const cluster = fullCluster();
    await copy(cluster);
    cluster.enter('Aborting');
    await cluster.insist(cluster.n2, (agent) => agent.discardTarget({ mirror }));
    cluster.enter('Aborted');
    const { swept } = await sweepAborted(cluster.dependencies(cluster.n1), [cluster.migration]);
    expect(swept).toEqual([cluster.migration]);
    expect(cluster.snapshot()).toEqual(untouched);
  });

  test('a port and a minor that a file has are not given to another mirror', async () => {
    const cluster = fullCluster();
    await copy(cluster);
    cluster.n1.addVolume('other', mirror.sizeBytes, 'other');
    cluster.n1.reboot();
    const other = { ...mirror, migration: { name: 'evictor-other', uid: '0b9f1c52-6f2e-4f5e-8f43-2d3a8f0f4b11', volume: 'other' } };
    const { metadata, spec } = cluster.migration;
    Object.assign(metadata, { name: other.migration.name, uid: other.migration.uid });
    Object.assign(spec, { volumeName: 'other' });
    cluster.prepare(other);
    const first = /n1: drbdsetup attach (\d+)/.exec(cluster.commands.join('\n'))![1];
    const { minor } = await cluster.insist(cluster.n1, (agent) => agent.allocateEndpoint({ mirror: other, role: 'source' }));
    expect(String(minor)).not.toBe(first);
  });
});

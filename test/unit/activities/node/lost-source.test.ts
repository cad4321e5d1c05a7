/** The source's disk, or its logical volume, is lost in the middle of a move: then the copy is the only one there is. */
import { describe, expect, test } from 'vitest';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { abort, copy, newCluster, typeOf } from './scenario.ts';

const DEVICE = 'LocalStorage_PoolHDD-data';

describe('a source whose disk DRBD has given up, beneath somebody who writes on', () => {
  /** DRBD detaches a disk at its first I/O error, and sends what is written from then on to the other end alone. */
  async function onTargetAlone(): Promise<FakeCluster> {
    const cluster = newCluster();
    await copy(cluster);
    const resource = cluster.n1.resources.get('data_rehome')!;
    resource.metadata = { ...resource.metadata!, disk: 'Diskless' as never };
    cluster.n2.volumes.get('data')!.content = 'newest';
    return cluster;
  }

  function expectUntouched({ n1, n2 }: FakeCluster): void {
    expect(n1.devices.get(DEVICE)!.table).toContain('147:');
    expect(n2.volumes.get('data')?.content).toBe('newest');
  }

  test.each<[string, (cluster: FakeCluster) => Promise<unknown>]>([
    ['is not taken for one that was restarted', (cluster) => cluster.agent(cluster.n1).awaitSync({ mirror })],
    [
      'is not looked at as if nothing were wrong',
      (cluster) => cluster.agent(cluster.n1).observeVolume({ volume: 'data', pool: mirror.pool }),
    ],
    [
      'is not mirrored anew',
      (cluster) => {
        const anew = { ...mirror, pairing: mirror.pairing + 1 };
        cluster.prepare(anew);
        return cluster.agent(cluster.n1).allocateEndpoint({ mirror: anew, role: 'source' });
      },
    ],
    [
      'is not given back',
      (cluster) => {
        cluster.enter('Aborting');
        return cluster.agent(cluster.n1).restoreSource({ mirror });
      },
    ],
  ])('%s', async (_, step) => {
    const cluster = await onTargetAlone();
    cluster.enter('Syncing');
    expect(await typeOf(step(cluster))).toBe('SourceDiskLost');
    expectUntouched(cluster);
  });
});

describe('the copy of a volume that has gone from its source', () => {
  async function goneFromSource(): Promise<FakeCluster> {
    const cluster = newCluster();
    await copy(cluster);
    cluster.n1.reboot();
    cluster.n1.volumes.clear();
    cluster.n1.devices.clear();
    return cluster;
  }

  test('is not taken away by an abort', async () => {
    const cluster = await goneFromSource();
    expect(await typeOf(abort(cluster))).toBe('LogicalVolumeMissing');
    expect(cluster.n2.volumes.get('data')?.content).toBe('precious');
  });

  test('in part, with one of its disks, is not taken away by an abort', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.n1.volumes.get('data')!.partial = true;
    expect(await typeOf(abort(cluster))).toBe('DiskMissing');
    expect(cluster.n2.volumes.get('data')?.content).toBe('precious');
    expect(cluster.n1.devices.get(DEVICE)!.table).toContain('147:');
  });

  test('is not needed where the volume was deleted', async () => {
    const cluster = await goneFromSource();
    cluster.enter('Aborting');
    expect(await typeOf(cluster.agent(cluster.n1).restoreSource({ mirror, deleted: true }))).toBe('no failure');
  });
});

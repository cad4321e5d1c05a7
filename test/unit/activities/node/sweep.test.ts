import { describe, expect, test } from 'vitest';
import { findOrphans, type NodeDependencies, sweepAborted, sweepGivenUp } from '../../../../activities/node/index.ts';
import type { LocalVolumeMigrate } from '../../../../core/contracts/objects/index.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import type { FakeNode } from './fake-node.ts';
import { close, copy, mark, newCluster } from './scenario.ts';

/** The source is restored; the target's agent was away. */
async function abortWithoutTarget(cluster: FakeCluster): Promise<void> {
  await copy(cluster);
  cluster.enter('Aborting');
  await cluster.insist(cluster.n1, (agent) => agent.restoreSource({ mirror }));
}

/** What is said of each migration: swept, or the reason why not. */
async function sweep(cluster: FakeCluster, node: FakeNode, migrations: readonly LocalVolumeMigrate[] = [cluster.migration]) {
  const dependencies: NodeDependencies = cluster.dependencies(node);
  const { swept, failed } = await sweepAborted(dependencies, migrations);
  return { swept: swept.map(({ metadata }) => metadata.name), failed: failed.map(({ error }) => (error as { type?: string }).type) };
}

const NOTHING = { swept: [], failed: [] };

describe('an agent that was away during an abort', () => {
  test('does its share when it is back', async () => {
    const untouched = newCluster().snapshot();
    const cluster = newCluster();
    await abortWithoutTarget(cluster);
    expect(await sweep(cluster, cluster.n2)).toEqual(NOTHING);
    cluster.enter('Aborted');
    expect(await sweep(cluster, cluster.n2)).toEqual({ swept: ['evictor-data'], failed: [] });
    expect(cluster.snapshot()).toEqual(untouched);
    expect(await sweep(cluster, cluster.n2)).toEqual(NOTHING);
  });

  test('takes the source’s end down too, also where the target it was made for was given up', async () => {
    const untouched = newCluster().n1.snapshot();
    const cluster = newCluster();
    await copy(cluster);
    const { target: _, ...status } = cluster.migration.status!;
    cluster.migration = { ...cluster.migration, status: { ...status, phase: 'Aborted' } };
    expect(await sweep(cluster, cluster.n1)).toEqual({ swept: ['evictor-data'], failed: [] });
    expect(cluster.n1.snapshot()).toEqual(untouched);
  });

  test('leaves what is not of an aborted migration, whatever a list says that is out of date', async () => {
    const cluster = newCluster();
    await abortWithoutTarget(cluster);
    cluster.enter('Aborted');
    const outdated = [cluster.migration];
    cluster.enter('Syncing');
    const before = cluster.snapshot();
    expect(await sweep(cluster, cluster.n2, outdated)).toEqual({ swept: [], failed: ['NotPermitted'] });
    expect(cluster.snapshot()).toEqual(before);
  });

  test('leaves the mirror of another migration of the same volume alone', async () => {
    const cluster = newCluster();
    await abortWithoutTarget(cluster);
    cluster.enter('Aborted');
    const metadata = cluster.n2.volumes.get('data_rehome_metadata')!;
    metadata.tags = metadata.tags.map((tag) => tag.replace(mirror.migration.uid, '0b9f1c52-6f2e-4f5e-8f43-2d3a8f0f4b11'));
    const before = cluster.snapshot();
    const { swept, failed } = await sweep(cluster, cluster.n2);
    // LVM lets nobody remove what the mirror has open.
    expect({ swept, failed: failed.length }).toEqual({ swept: [], failed: 1 });
    expect(cluster.snapshot()).toEqual(before);
  });

  test('is not kept from the others by a migration whose record says too little, or that is not about this node', async () => {
    const cluster = newCluster();
    await abortWithoutTarget(cluster);
    cluster.enter('Aborted');
    const { migration } = cluster;
    const leftBy = (uid: string): LocalVolumeMigrate => {
      cluster.n2.addVolume(`of-${uid}`, mirror.sizeBytes, 'left');
      cluster.n2.volumes.get(`of-${uid}`)!.tags.push(`rehome.io/migration=${uid}`);
      return { ...migration, metadata: { ...migration.metadata, name: `of-${uid}`, uid } };
    };
    const [empty, foreign] = ['0b9f1c52-6f2e-4f5e-8f43-2d3a8f0f4b11', '0b9f1c52-6f2e-4f5e-8f43-2d3a8f0f4b12'].map(leftBy);
    const all = [{ ...empty!, status: { phase: 'Aborted' as const } }, foreign!, migration];
    const { swept, failed } = await sweepAborted(cluster.dependencies(cluster.n2), all);
    expect(failed.map(({ migration: { metadata } }) => metadata.name)).toEqual(all.slice(0, 2).map(({ metadata }) => metadata.name));
    expect(swept).toEqual([migration]);
  });
});

describe('an agent that was away when its node was left for another target', () => {
  const elsewhere = { node: 'n3', storageAddress: '10.77.0.3' };
  const sweepLeft = async (cluster: FakeCluster, node: FakeNode) => {
    const { swept, failed } = await sweepGivenUp(cluster.dependencies(node), async () => [cluster.migration]);
    return { swept: swept.map(({ metadata }) => metadata.name), failed: failed.map(({ error }) => (error as { type?: string }).type) };
  };

  test('does its share when it is back, wherever the migration stands by then', async () => {
    for (const phase of ['Syncing', 'Completed', 'Aborted'] as const) {
      const untouched = newCluster().n2.snapshot();
      const cluster = newCluster();
      await copy(cluster);
      const source = cluster.n1.snapshot();
      cluster.migration = { ...cluster.migration, status: { ...cluster.migration.status, phase, target: elsewhere, pairing: 2 } };
      expect(await sweepLeft(cluster, cluster.n1), 'of the source').toEqual(NOTHING);
      expect(await sweepLeft(cluster, cluster.n2)).toEqual({ swept: ['evictor-data'], failed: [] });
      expect(cluster.n2.snapshot()).toEqual(untouched);
      expect(cluster.n1.snapshot()).toEqual(source);
    }
  });

  test('leaves a target alone to which the migration has come back since it was listed', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const { migration } = cluster;
    const before = cluster.snapshot();
    const outdated = { ...migration, status: { ...migration.status, target: elsewhere } };
    const { failed } = await sweepGivenUp(cluster.dependencies(cluster.n2), async () => [outdated]);
    expect(failed.map(({ error }) => (error as { type?: string }).type)).toEqual(['NotPermitted']);
    expect(cluster.snapshot()).toEqual(before);
  });

  test('never removes what is marked: it has the newest data, whatever a record says', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    await mark(cluster);
    const before = cluster.n2.snapshot();
    cluster.migration = { ...cluster.migration, status: { ...cluster.migration.status, target: elsewhere } };
    expect(await sweepLeft(cluster, cluster.n2)).toEqual({ swept: [], failed: ['PointOfNoReturnPassed'] });
    expect(cluster.n2.snapshot()).toEqual(before);
  });
});

describe('what nobody looks after is found', () => {
  const orphansOn = async (cluster: FakeCluster, node: FakeNode, migrations: readonly LocalVolumeMigrate[] = []) =>
    (await findOrphans(cluster.dependencies(node), async () => migrations)).map(({ names }) => names);

  test('where the metadata is a file', async () => {
    const cluster = newCluster();
    cluster.n1.freeBytes = 0;
    await copy(cluster);
    expect(await orphansOn(cluster, cluster.n1)).toEqual([['data_rehome_metadata']]);
    expect(await orphansOn(cluster, cluster.n1, [cluster.migration])).toEqual([]);
  });

  test('where a source has nothing but the mark of the point of no return', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    await mark(cluster);
    await cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' });
    expect(await orphansOn(cluster, cluster.n1)).toEqual([['LocalStorage_PoolHDD/data']]);
    expect(await orphansOn(cluster, cluster.n1, [cluster.migration])).toEqual([]);
  });

  test('without a request for objects where nothing carries a tag', async () => {
    const cluster = newCluster();
    const asked = findOrphans(cluster.dependencies(cluster.n1), () => Promise.reject(new Error('asked')));
    expect(await asked).toEqual([]);
  });
});

import { describe, expect, test } from 'vitest';
import type { Mirror } from '../../../../core/contracts/migration.ts';
import { PHASES, type Phase } from '../../../../core/contracts/phases.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { abort, close, copy, cutOver, mark, newCluster, typeOf } from './scenario.ts';

describe('what Temporal asks for and Kubernetes does not permit', () => {
  test.each<[string, (cluster: FakeCluster) => void]>([
    ['in another phase', (cluster) => cluster.enter('Syncing')],
    ['with another uid', ({ migration }) => Object.assign(migration.metadata, { uid: 'another' })],
    ['of another volume', ({ migration }) => Object.assign(migration.spec, { volumeName: 'other' })],
    ['from another node', ({ migration }) => Object.assign(migration.spec, { sourceNode: 'n3' })],
    ['that does not exist', ({ migration }) => Object.assign(migration.metadata, { name: 'other' })],
  ])('is refused for a migration %s', async (_, change) => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('CuttingOver');
    change(cluster);
    const before = cluster.commands.length;
    expect(await typeOf(cluster.agent(cluster.n1).closeSource({ mirror }))).toBe('NotPermitted');
    expect(cluster.commands).toHaveLength(before);
  });

  test.each<[string, Phase, boolean]>([
    ['dissolve', 'CuttingOver', false],
    ['remove the source', 'RemovingSource', false],
  ])('%s before the point of no return', async (_, phase, passed) => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter(phase, passed);
    const agent = cluster.agent(cluster.n1);
    const step = phase === 'CuttingOver' ? agent.dissolveMirror({ mirror, role: 'source' }) : agent.removeSource({ mirror });
    expect(await typeOf(step)).toBe('NotPermitted');
  });

  const endpoint = { port: 7000, minor: 100, logicalBlockSizeBytes: 512 };
  type Step = (cluster: FakeCluster, wanted: Mirror) => Promise<unknown>;
  const allocate: Step = (cluster, wanted) => cluster.agent(cluster.n1).allocateEndpoint({ mirror: wanted, role: 'source' });
  const ensureTarget: Step = (cluster, wanted) =>
    cluster.agent(cluster.n2).ensureTargetMirror({ mirror: wanted, sourceEndpoint: endpoint });
  const ensureSource: Step = (cluster, wanted) =>
    cluster.agent(cluster.n1).ensureSourceMirror({ mirror: wanted, targetEndpoint: endpoint });
  const repair: Step = (cluster, wanted) => cluster.agent(cluster.n1).repairMirror({ mirror: wanted });

  test.each<[string, Step, readonly Phase[]]>([
    ['an endpoint', allocate, ['Preparing', 'Syncing', 'Verifying', 'CuttingOver']],
    ["the target's end", ensureTarget, ['Preparing', 'Syncing', 'Verifying', 'AwaitingDetach', 'CuttingOver']],
    ["the source's end", ensureSource, ['Preparing', 'Syncing', 'Verifying']],
    ['a repair', repair, ['Verifying', 'CuttingOver']],
  ])('%s of a mirror is made in its phases only, and of the recorded pairing only', async (_, step, phases) => {
    const cluster = newCluster();
    await copy(cluster);
    const before = cluster.commands.length;
    for (const phase of PHASES.filter((candidate) => !phases.includes(candidate))) {
      cluster.enter(phase);
      expect(await typeOf(step(cluster, mirror)), phase).toBe('NotPermitted');
    }
    for (const phase of phases) {
      cluster.enter(phase);
      expect(await typeOf(step(cluster, { ...mirror, pairing: 2 })), phase).toBe('NotPermitted');
    }
    expect(cluster.commands).toHaveLength(before);
    for (const phase of phases) {
      cluster.enter(phase);
      expect(await typeOf(step(cluster, mirror)), phase).toBe('no failure');
    }
  });

  test('either end is taken back while it is made or aborted, and never else', async () => {
    for (const phase of PHASES.filter((candidate) => candidate !== 'Aborting' && candidate !== 'Preparing')) {
      const cluster = newCluster();
      await copy(cluster);
      cluster.enter(phase);
      expect(await typeOf(cluster.agent(cluster.n1).restoreSource({ mirror })), phase).toBe('NotPermitted');
      expect(await typeOf(cluster.agent(cluster.n2).discardTarget({ mirror })), phase).toBe('NotPermitted');
    }
    const untouched = newCluster().snapshot();
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('Preparing');
    await cluster.agent(cluster.n1).restoreSource({ mirror });
    await cluster.agent(cluster.n2).discardTarget({ mirror });
    expect(cluster.snapshot()).toEqual(untouched);
  });

  test('the tags of a target stay until its source may go', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('Syncing');
    expect(await typeOf(cluster.agent(cluster.n2).releaseTarget({ mirror }))).toBe('NotPermitted');
  });

  test('the tags of a target stay where its disk does not take what it was given, at a repeat too', async () => {
    const cluster = newCluster();
    const { n1, n2 } = cluster;
    await copy(cluster);
    await close(cluster);
    await cutOver(cluster, { upToRemoval: true });
    n2.diskIsDead = true;
    await expect(cluster.agent(n2).releaseTarget({ mirror })).rejects.toThrow('EIO');
    n2.diskIsDead = false;
    await cluster.agent(n2).releaseTarget({ mirror });
    n2.diskIsDead = true;
    await expect(cluster.agent(n2).releaseTarget({ mirror })).rejects.toThrow('EIO');
    expect(n1.volumes.has('data')).toBe(true);
  });

  test('an object that lies about the point of no return neither dissolves nor removes a source that has no mark', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('CuttingOver', true);
    expect(await typeOf(cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' }))).toBe('NotPermitted');
    cluster.enter('RemovingSource', true);
    expect(await typeOf(cluster.agent(cluster.n1).removeSource({ mirror }))).toBe('NotPermitted');
  });
});

describe('the point of no return', () => {
  test('is not marked on a source that somebody could still write to', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('CuttingOver');
    expect(await typeOf(cluster.agent(cluster.n1).markCutOver({ mirror, role: 'source' }))).toBe('MirrorNotReady');
  });

  test('is not marked on a source whose mirror a restart has taken', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    cluster.n1.reboot();
    expect(await typeOf(cluster.agent(cluster.n1).markCutOver({ mirror, role: 'source' }))).toBe('MirrorNotReady');
  });

  test('is marked on the target only after the source, whose mark the LocalVolumeMigrate tells', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    expect(await typeOf(cluster.agent(cluster.n2).markCutOver({ mirror, role: 'target' }))).toBe('NotPermitted');
  });

  test('is not marked on a target that lacks something', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    await cluster.insist(cluster.n1, (agent) => agent.markCutOver({ mirror, role: 'source' }));
    cluster.enter('CuttingOver', true);
    cluster.n2.metadata.get('data_rehome_metadata')!.disk = 'Inconsistent';
    expect(await typeOf(cluster.agent(cluster.n2).markCutOver({ mirror, role: 'target' }))).toBe('MirrorNotReady');
  });

  test('once marked on a node keeps it from an abort', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    await mark(cluster);
    cluster.enter('Aborting');
    expect(await typeOf(cluster.agent(cluster.n1).restoreSource({ mirror }))).toBe('PointOfNoReturnPassed');
    expect(await typeOf(cluster.agent(cluster.n2).discardTarget({ mirror }))).toBe('PointOfNoReturnPassed');
  });
});

test('a source that was cut over is not activated by a late wish to mirror it', async () => {
  const cluster = newCluster();
  await copy(cluster);
  await close(cluster);
  await mark(cluster);
  cluster.n1.reboot();
  cluster.enter('Preparing');
  const targetEndpoint = { port: 7000, minor: 100, logicalBlockSizeBytes: 512 };
  expect(await typeOf(cluster.agent(cluster.n1).ensureSourceMirror({ mirror, targetEndpoint }))).toBe('PointOfNoReturnPassed');
  expect(cluster.n1.devices.has('LocalStorage_PoolHDD-data')).toBe(false);
});

describe('a source that somebody activated after it was marked', () => {
  const DEVICE = 'LocalStorage_PoolHDD-data';
  const activated = async (): Promise<FakeCluster> => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    await mark(cluster);
    cluster.n1.reboot();
    cluster.n1.activate('data');
    return cluster;
  };

  test('is not removed where it was written to, before and after its mirror was taken down', async () => {
    const cluster = await activated();
    cluster.n1.write('data', 'precious too');
    expect(await typeOf(cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' }))).toBe('SourceWritten');
    cluster.enter('RemovingSource', true);
    expect(await typeOf(cluster.agent(cluster.n1).removeSource({ mirror }))).toBe('SourceWritten');
    expect(cluster.n1.snapshot()).toMatchObject({ volumes: [{ content: 'precious too' }, {}] });
    expect(cluster.n1.devices.has(DEVICE)).toBe(true);
  });

  test('is waited for while it is open, and goes when it was only looked at', async () => {
    const cluster = await activated();
    const device = cluster.n1.devices.get(DEVICE)!;
    device.open = 1;
    expect(await typeOf(cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' }))).toBe('VolumeInUse');
    device.open = 0;
    await cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' });
    expect(cluster.n1.devices.has(DEVICE)).toBe(false);
  });
});

describe('refused', () => {
  test('an attempt that a later one has overtaken', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.scheduledAt = 1;
    expect(await typeOf(cluster.agent(cluster.n1).allocateEndpoint({ mirror, role: 'source' }))).toBe('StaleActivity');
  });

  test('a target whose name is taken by a volume that is not the migration’s', async () => {
    const cluster = newCluster();
    cluster.n2.addVolume('data', mirror.sizeBytes, 'of somebody else');
    expect(await typeOf(copy(cluster))).toBe('LogicalVolumeConflict');
    await abort(cluster);
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ name: 'data', content: 'of somebody else' }], resources: [] });
  });

  test('a target that has lost its volume and kept the metadata of its mirror, which calls every block copied', async () => {
    const cluster = newCluster();
    const { n1, n2 } = cluster;
    await copy(cluster);
    const sourceEndpoint = await cluster.insist(n1, (agent) => agent.allocateEndpoint({ mirror, role: 'source' }));
    n2.reboot();
    n2.volumes.delete('data');
    n2.devices.delete('LocalStorage_PoolHDD-data');
    cluster.enter('AwaitingDetach');
    expect(await typeOf(cluster.agent(n2).ensureTargetMirror({ mirror, sourceEndpoint }))).toBe('MirrorNotReady');
    expect(n2.volumes.has('data')).toBe(false);
  });

  test('a target with larger logical blocks', async () => {
    const cluster = newCluster();
    cluster.n2.logicalBlockSizeBytes = 4096;
    expect(await typeOf(copy(cluster))).toBe('BlockSizeTooLarge');
  });

  test('a target without room', async () => {
    const cluster = newCluster();
    cluster.n2.freeBytes = 8 * 2 ** 20;
    expect(await typeOf(copy(cluster))).toBe('PoolFull');
  });

  test.each([
    ['a snapshot', '0 131072 snapshot-origin 253:9', 'TableNotSupported'],
    ['a thin volume whose origin is outside its pool', '0 131072 thin 253:3 1 253:9', 'TableNotSupported'],
    ['copies that LVM keeps', '0 131072 raid raid1 3 0 region_size 4096 2 253:5 253:6 253:7 253:8', 'TableNotSupported'],
    ['encryption', '0 131072 crypt aes-xts-plain64 :64:logon:k 0 254:0 0', 'TableNotSupported'],
  ])('a source with %s', async (_, table, type) => {
    const cluster = newCluster();
    cluster.n1.devices.get('LocalStorage_PoolHDD-data')!.table = table;
    expect(await typeOf(copy(cluster))).toBe(type);
  });

  test.each([
    ['a volume named as a path', { ...mirror, migration: { ...mirror.migration, volume: '../etc' } }],
    ['a pool with a quote', { ...mirror, pool: 'a"b' }],
    ['a migration that is no uuid', { ...mirror, migration: { ...mirror.migration, uid: 'x" || lv_size>0 || lv_name="' } }],
    ['an address that is none', { ...mirror, target: { node: 'n2', storageAddress: '10.77.0.2:1' } }],
    ['a mirror of another node', { ...mirror, source: { node: 'n3', storageAddress: '10.77.0.3' } }],
  ])('a request with %s, before any command', async (_, wrong) => {
    const cluster = newCluster();
    await expect(cluster.agent(cluster.n1).allocateEndpoint({ mirror: wrong, role: 'source' })).rejects.toThrow();
    expect(cluster.commands).toEqual([]);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createClusterActivities } from '../../activities/cluster/index.ts';
import type { MigrationRef, MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation, TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import { localStorageNodes, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { type PersistentVolume, persistentVolumeClaims, persistentVolumes } from '../../system/kube/resources.ts';
import { MiB, MigrationWorld, POOL } from './migration-world.ts';

let world: MigrationWorld;
let n1: MirrorEnd;
let n2: MirrorEnd;

beforeAll(async () => {
  world = await MigrationWorld.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  n2 = await world.addNode('n2', '10.77.0.2');
  await world.cordon('n1');
});
afterAll(() => world?.stop());
afterEach(() => expect(world.errors).toEqual([]));

const request = (ref: MigrationRef) => ({ ref, sourceNode: 'n1', target: n2, sizeBytes: 64 * MiB, pool: POOL });

async function prepare(volume: string, options: Parameters<MigrationWorld['addVolume']>[2] = {}): Promise<MigrationRef> {
  await world.addVolume(volume, n1, options);
  return world.cutOver(volume, 'n1', n2);
}

const volumeOf = (name: string): Promise<PersistentVolume> => world.client.get(persistentVolumes, { name });
const nodesNamedBy = ({ spec }: PersistentVolume): unknown => spec?.nodeAffinity?.required?.nodeSelectorTerms;
const replicaOn = async (volume: string, node: string) =>
  (await world.client.list(localVolumeReplicas)).filter(({ spec }) => spec.volumeName === volume && spec.nodeName === node);

/** Everything says that the volume is on n2, and the claim has never become another's. */
async function expectMoved(volume: string, before: PersistentVolume): Promise<void> {
  const [replica, ...others] = await replicaOn(volume, 'n2');
  expect(others).toEqual([]);
  expect(replica?.metadata.name).toMatch(new RegExp(`^${volume}-[a-z0-9]{6}$`));

  const localVolume = await world.client.get(localVolumes, { name: volume });
  expect(localVolume.spec.config?.replicas).toEqual([{ id: 1, hostname: 'n2', ip: '10.77.0.2', primary: true }]);
  expect(localVolume.status?.replicas).toEqual([replica?.metadata.name]);

  const after = await volumeOf(volume);
  expect(nodesNamedBy(after)).toEqual([{ matchExpressions: [{ key: TOPOLOGY_KEY, operator: 'In', values: ['n2'] }] }]);
  expect(after.spec?.persistentVolumeReclaimPolicy).toBe('Delete');
  expect(after.metadata.finalizers).toEqual(before.metadata.finalizers);
  expect(after.spec?.claimRef?.uid).toBe(before.spec?.claimRef?.uid);
  expect((await world.boundClaim(volume)).metadata.uid).toBe(before.spec?.claimRef?.uid);
}

describe('switching the objects to the target', () => {
  test('moves replica, LocalVolume and PersistentVolume, and tells of it', async () => {
    const ref = await prepare('plain', { accessibleNodes: ['n1'], publishedNode: 'n1' });
    const before = await volumeOf('plain');

    await world.activities.switchObjects(request(ref));

    await expectMoved('plain', before);
    const localVolume = await world.client.get(localVolumes, { name: 'plain' });
    expect(localVolume.spec.accessibility?.nodes).toEqual(['n2']);
    expect(localVolume.spec.config?.version).toBe(2);
    expect(localVolume.status?.publishedNode).toBe('');
    expect(await replicaOn('plain', 'n1')).toHaveLength(1);
    const claim = await world.client.get(persistentVolumeClaims, { namespace: 'default', name: 'plain' });
    expect((await world.eventsOf(claim.metadata.uid)).map(({ reason }) => reason)).toContain('PersistentVolumeRebound');
  });

  test('changes nothing when it is repeated', async () => {
    const ref = await prepare('twice');
    await world.activities.switchObjects(request(ref));
    const versions = async () => [
      (await volumeOf('twice')).metadata.resourceVersion,
      (await world.client.get(localVolumes, { name: 'twice' })).metadata.resourceVersion,
      (await replicaOn('twice', 'n2')).map(({ metadata }) => metadata.resourceVersion),
    ];
    const before = await versions();
    await world.activities.switchObjects(request(ref));
    expect(await versions()).toEqual(before);
  });

  test.each(['replica', 'localVolume', 'record', 'retain', 'delete', 'removeFinalizers', 'create', 'bind'])(
    'goes on after a crash behind step %s',
    async (step) => {
      const volume = `crash-${step.toLowerCase()}`;
      const ref = await prepare(volume);
      const before = await volumeOf(volume);
      await expect(world.crashingAfter(step).switchObjects(request(ref))).rejects.toThrow(`crashed after ${step}`);
      await world.activities.switchObjects(request(ref));
      await expectMoved(volume, before);
    },
  );

  test('keeps what somebody has changed of the PersistentVolume between a crash and the next attempt', async () => {
    const ref = await prepare('changed');
    await world.client.mergePatch(persistentVolumes, { name: 'changed' }, { metadata: { labels: { gone: 'soon' } } });
    const before = await volumeOf('changed');
    await expect(world.crashingAfter('record').switchObjects(request(ref))).rejects.toThrow('crashed');
    await world.client.mergePatch(persistentVolumes, { name: 'changed' }, { metadata: { labels: { gone: null, tier: 'gold' } } });
    await world.activities.switchObjects(request(ref));
    await expectMoved('changed', before);
    expect((await volumeOf('changed')).metadata.labels).toEqual({ tier: 'gold' });
  });

  test('goes on in another process after a kill between delete and create', async () => {
    const ref = await prepare('killed');
    const before = await volumeOf('killed');
    expect(await runKilled(ref)).toBe('SIGKILL');
    expect(await world.client.find(persistentVolumes, { name: 'killed' })).toBeUndefined();
    // A new run finds the record by the volume alone.
    const found = await world.activities.findMigration({ volume: 'killed' });
    expect(found?.pointOfNoReturn).toBe(true);
    await world.activities.switchObjects(request(found!.ref));
    await expectMoved('killed', before);
  });

  test('adopts a replica that somebody made on the target', async () => {
    const ref = await prepare('adopted');
    const before = await volumeOf('adopted');
    const made = await world.addReplica('adopted', 'adopted-zzzzzz', 'n2');
    await world.activities.switchObjects(request(ref));
    await expectMoved('adopted', before);
    expect((await replicaOn('adopted', 'n2'))[0]?.metadata.uid).toBe(made.metadata.uid);
  });

  test('makes one replica only, also where the store has not heard of the first', async () => {
    const ref = await prepare('once', { claimed: false });
    const { stores } = world.dependencies;
    const before = [...stores.localVolumeReplicas.list()];
    const localVolumeReplicas = { list: () => before, get: () => undefined };
    const late = createClusterActivities({ ...world.dependencies, stores: { ...stores, localVolumeReplicas } });
    await late.switchObjects(request(ref));
    await late.switchObjects(request(ref));
    expect(await replicaOn('once', 'n2')).toHaveLength(1);
  });

  test('leaves a PersistentVolume alone that names no node', async () => {
    const ref = await prepare('anywhere', { nodeAffinity: false });
    const before = await volumeOf('anywhere');
    await world.activities.switchObjects(request(ref));
    expect((await volumeOf('anywhere')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    expect(await replicaOn('anywhere', 'n2')).toHaveLength(1);
  });

  test('needs no PersistentVolume', async () => {
    const ref = await prepare('unclaimed', { claimed: false });
    await world.activities.switchObjects(request(ref));
    const localVolume = await world.client.get(localVolumes, { name: 'unclaimed' });
    expect(localVolume.spec.config?.replicas.map(({ hostname }) => hostname)).toEqual(['n2']);
  });

  test('is refused where somebody else has a hand on the PersistentVolume', async () => {
    const ref = await prepare('foreign');
    await world.client.mergePatch(persistentVolumes, { name: 'foreign' }, { metadata: { finalizers: ['example.com/mine'] } });
    await expect(world.activities.switchObjects(request(ref))).rejects.toMatchObject({
      type: 'PersistentVolumeRefused',
      nonRetryable: true,
    });
    expect((await volumeOf('foreign')).metadata.deletionTimestamp).toBeUndefined();
  });

  test('is refused before the point of no return, between other nodes, for another volume, and after the end', async () => {
    await world.addVolume('early', n1);
    const { ref } = await world.activities.openMigration({ volume: 'early', sourceNode: 'n1', trigger: 'node-drain' });
    await expect(world.activities.switchObjects(request(ref))).rejects.toMatchObject({ type: 'NotPermitted' });
    await world.activities.reportPhase({ ref, phase: 'CuttingOver', message: 'test', target: n2, pointOfNoReturn: true });
    await world.addVolume('bystander', n1);
    for (const wrong of [{ target: n1 }, { sourceNode: 'n2' }, { ref: { ...ref, volume: 'bystander' } }]) {
      await expect(world.activities.switchObjects({ ...request(ref), ...wrong })).rejects.toMatchObject({ type: 'NotPermitted' });
    }
    expect(await replicaOn('bystander', 'n2')).toEqual([]);
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'test' });
    await expect(world.activities.switchObjects(request(ref))).rejects.toMatchObject({ type: 'NotPermitted' });
    expect(await replicaOn('early', 'n2')).toEqual([]);
  });
});

test('removing the source replica takes the reservation with it, and may be repeated', async () => {
  const ref = await prepare('removed', { claimed: false });
  const reserve = { ref, sourceNode: 'n1', pool: POOL, sizeBytes: 64 * MiB, givenUp: {} };
  expect(await world.activities.reserveTarget(reserve)).toMatchObject({ kind: 'reserved', target: n2 });
  await world.activities.switchObjects(request(ref));
  await expect(world.activities.removeSourceReplica({ ref, sourceNode: 'n2' })).rejects.toMatchObject({ type: 'NotPermitted' });
  await world.activities.removeSourceReplica({ ref, sourceNode: 'n1' });
  await world.activities.removeSourceReplica({ ref, sourceNode: 'n1' });
  expect(await replicaOn('removed', 'n1')).toEqual([]);
  expect(await replicaOn('removed', 'n2')).toHaveLength(1);
  expect((await world.client.get(localStorageNodes, { name: 'n2' })).metadata.annotations ?? {}).not.toHaveProperty(
    Annotation.reservation('removed'),
  );
});

/** @returns the signal that ended the process. */
async function runKilled(ref: MigrationRef): Promise<string | null> {
  const program = join(import.meta.dirname, 'switch-objects-process.ts');
  const child = spawn(
    process.execPath,
    [program, world.cluster.controlPlane.kubeconfig, 'removeFinalizers', JSON.stringify(request(ref))],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const [[, signal], stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
  expect(stderr).toBe('');
  return signal as string | null;
}

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import type { LocalVolumeStatus, ReplicaState } from '../../core/contracts/objects/index.ts';
import { VolumeStatusReconciler } from '../../reconcilers/volume-status.ts';
import { localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { MiB, MigrationWorld, POOL } from './migration-world.ts';

let world: MigrationWorld;
let reconciler: VolumeStatusReconciler;
let n1: MirrorEnd;
let n2: MirrorEnd;
const warnings: object[] = [];

beforeAll(async () => {
  world = await MigrationWorld.start();
  // With the controller's own rights.
  const { kube } = world.dependencies;
  const logger = { warn: (fields: object) => void warnings.push(fields) };
  reconciler = new VolumeStatusReconciler({ kube, stores: world.watchers.stores, changes: world.watchers, logger });
  n1 = await world.addNode('n1', '10.77.0.1');
  n2 = await world.addNode('n2', '10.77.0.2');
});
afterAll(async () => {
  await reconciler?.stop();
  await world?.stop();
});

const status = async (name: string) => (await world.client.get(localVolumes, { name })).status;
const becomes = (name: string, expected: Partial<LocalVolumeStatus>) =>
  vi.waitFor(async () => expect(await status(name)).toMatchObject(expected), { timeout: 10_000, interval: 20 });
/** As the agent would. */
const agentSays = (replica: string, state: ReplicaState) =>
  world.client.mergePatch(localVolumeReplicas, { name: replica }, { status: { state } }, { subresource: 'status' });

test('a volume is as Ready as its replica, whoever says otherwise, and what was allocated stays as it is', async () => {
  await world.addVolume('early', n1, { claimed: false });
  await world.client.mergePatch(
    localVolumes,
    { name: 'early' },
    { status: { state: 'NotReady', replicas: null } },
    { subresource: 'status' },
  );
  reconciler.start();
  await becomes('early', { state: 'Ready', replicas: ['early-abc123'] });

  await agentSays('early-abc123', 'NotReady');
  await becomes('early', { state: 'NotReady' });
  await agentSays('early-abc123', 'Ready');
  await becomes('early', { state: 'Ready' });
  await world.client.mergePatch(localVolumes, { name: 'early' }, { status: { state: 'NotReady' } }, { subresource: 'status' });
  await becomes('early', { state: 'Ready', replicas: ['early-abc123'], allocatedCapacityBytes: 64 * MiB });

  await world.client.mergePatch(
    localVolumeReplicas,
    { name: 'early-abc123' },
    { status: { allocatedCapacityBytes: 68 * MiB } },
    { subresource: 'status' },
  );
  await world.client.delete(localVolumeReplicas, { name: 'early-abc123' });
  await becomes('early', { state: 'NotReady', replicas: [], allocatedCapacityBytes: 64 * MiB });
});

test('a volume that is cut over is Ready again when the agent on its new node has seen it', async () => {
  await world.addVolume('moved', n1, { claimed: false });
  const ref = await world.cutOver('moved', 'n1', n2);
  await world.activities.switchObjects({ ref, sourceNode: 'n1', target: n2, sizeBytes: 64 * MiB, pool: POOL });
  const replicas = await world.client.list(localVolumeReplicas);
  const { name } = replicas.find(({ spec }) => spec.volumeName === 'moved' && spec.nodeName === 'n2')!.metadata;
  await becomes('moved', { state: 'Ready', replicas: [name] });
  await agentSays(name, 'NotReady');
  await becomes('moved', { state: 'NotReady', replicas: [name] });
  await world.activities.removeSourceReplica({ ref, sourceNode: 'n1' });
  await agentSays(name, 'Ready');
  await becomes('moved', { state: 'Ready', replicas: [name] });
  expect(warnings).toEqual([]);
});

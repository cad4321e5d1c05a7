import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { Label } from '../../core/contracts/names.ts';
import type { Condition } from '../../core/contracts/objects/index.ts';
import { EvacuatedReconciler } from '../../reconcilers/evacuated.ts';
import { StorageNodeStateReconciler } from '../../reconcilers/storage-node-state.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas } from '../../system/kube/hwameistor-resources.ts';
import { nodes } from '../../system/kube/resources.ts';
import { MigrationWorld, NAMESPACE } from './migration-world.ts';

let world: MigrationWorld;
let reconcilers: readonly { start(): void; stop(): Promise<void> }[];

beforeAll(async () => {
  world = await MigrationWorld.start();
  const logger = { info: () => undefined, warn: () => undefined };
  const { whyStays } = world.dependencies;
  const dependencies = {
    kube: world.client,
    whyStays,
    evictionDelaySeconds: 0,
    stores: world.watchers.stores,
    namespace: NAMESPACE,
    now: () => new Date(),
    logger,
  };
  reconcilers = [new EvacuatedReconciler({ ...dependencies, changes: world.watchers }), new StorageNodeStateReconciler(dependencies)];
  for (const reconciler of reconcilers) reconciler.start();
});
afterAll(async () => {
  await Promise.all((reconcilers ?? []).map((reconciler) => reconciler.stop()));
  await world?.stop();
});
afterEach(() => world.clear('localVolumeReplicas', localVolumeReplicas));

let serial = 0;
const addNode = (): Promise<MirrorEnd> => world.addNode(`node-${++serial}`, `10.77.1.${serial}`);

async function conditionOf(node: string): Promise<Condition | undefined> {
  const { status } = await world.client.get(localStorageNodes, { name: node });
  return status?.conditions?.find(({ type }) => type === 'Evacuated');
}

function becomes(node: string, status: 'True' | 'False', reason: string): Promise<Condition> {
  const read = async (): Promise<Condition> => {
    const condition = await conditionOf(node);
    expect(condition).toMatchObject({ status, reason });
    return condition!;
  };
  return vi.waitFor(read, { timeout: 15_000, interval: 50 });
}

describe('Evacuated', () => {
  test('does not wait for what a volume has left in a pool that lost its disks, but for one of which nothing else is known', async () => {
    const [node, other] = [await addNode(), await addNode()];
    await world.addVolume('moved-on', other, { claimed: false });
    const disk = { devPath: '/dev/sda', type: 'HDD', capacityBytes: 1 } as const;
    const report = (volumes: string[], state: 'InUse' | 'Offline') => world.reportPool(node.node, { volumes, disks: [{ ...disk, state }] });
    await report(['moved-on'], 'InUse');
    await world.cordon(node.node);
    await becomes(node.node, 'False', 'VolumesRemain');
    await report(['moved-on', 'unknown'], 'Offline');
    const read = async () => expect((await conditionOf(node.node))?.message).toBe('still in the pools: unknown');
    await vi.waitFor(read, { timeout: 15_000, interval: 50 });
    await report(['moved-on'], 'Offline');
    await becomes(node.node, 'True', 'NothingLeft');
  });

  test('follows a drain to its end, and stays True when the node is powered off', async () => {
    const node = await addNode();
    await world.addVolume('drained', node, { claimed: false });
    await world.reportPool(node.node, { volumes: ['drained'] });
    await becomes(node.node, 'False', 'NodeNotCordoned');

    await world.cordon(node.node);
    await becomes(node.node, 'False', 'VolumesRemain');

    const { ref } = await world.activities.openMigration({ volume: 'drained', sourceNode: node.node, trigger: 'node-drain' });
    const underWay = await becomes(node.node, 'False', 'MigrationsUnderWay');
    expect(underWay.message).toBe('waits for drained (Pending)');

    await world.client.delete(localVolumeReplicas, { name: 'drained-abc123' });
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'test' });
    const left = await becomes(node.node, 'False', 'VolumesRemain');
    expect(left.message).toBe('still in the pools: drained');

    await world.reportPool(node.node, { volumes: [] });
    const evacuated = await becomes(node.node, 'True', 'NothingLeft');
    expect(Date.parse(evacuated.lastTransitionTime!)).toBeGreaterThan(Date.parse(left.lastTransitionTime!));

    await world.silenceAgent(node.node);
    await vi.waitFor(
      async () => expect((await world.client.get(localStorageNodes, { name: node.node })).status?.state).toBe('Offline'),
      10_000,
    );
    expect(await conditionOf(node.node)).toEqual(evacuated);

    await world.cordon(node.node, false);
    await becomes(node.node, 'False', 'NodeNotCordoned');
  });

  test('waits for an agent that is away, and for the volumes that the label keeps', async () => {
    const { node } = await addNode();
    await world.silenceAgent(node);
    await world.cordon(node);
    await becomes(node, 'False', 'AgentNotReporting');
    await world.reviveAgent(node);
    await becomes(node, 'True', 'NothingLeft');
    await world.client.mergePatch(nodes, { name: node }, { metadata: { labels: { [Label.eviction]: 'disable' } } });
    await becomes(node, 'False', 'EvictionDisabled');
  });

  test('is not said of a node that a volume is on its way to', async () => {
    const [source, target] = [await addNode(), await addNode()];
    await world.addVolume('arriving', source, { claimed: false });
    const { ref } = await world.activities.openMigration({ volume: 'arriving', sourceNode: source.node, trigger: 'node-drain' });
    await world.activities.reportPhase({ ref, phase: 'Preparing', message: 'test', target });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
    await world.cordon(target.node);
    const condition = await becomes(target.node, 'False', 'MigrationsUnderWay');
    expect(condition.message).toBe('waits for arriving (Preparing)');
  });

  test('leaves conditions of others alone', async () => {
    const { node } = await addNode();
    const others = { type: 'ThinPoolReady', status: 'True' } as const;
    await becomes(node, 'False', 'NodeNotCordoned');
    const { status } = await world.client.get(localStorageNodes, { name: node });
    await world.client.mergePatch(
      localStorageNodes,
      { name: node },
      { status: { conditions: [...(status?.conditions ?? []), others] } },
      { subresource: 'status' },
    );
    await world.cordon(node);
    await becomes(node, 'True', 'NothingLeft');
    expect((await world.client.get(localStorageNodes, { name: node })).status?.conditions).toContainEqual(others);
  });
});

describe('the state of a storage node', () => {
  test('is Offline once its agent has fallen silent, and its agent may say otherwise when it is back', async () => {
    const { node } = await addNode();
    const state = async () => (await world.client.get(localStorageNodes, { name: node })).status?.state;
    await world.silenceAgent(node);
    await vi.waitFor(async () => expect(await state()).toBe('Offline'), 10_000);
    const { status } = await world.client.get(localStorageNodes, { name: node });
    expect(Object.keys(status?.pools ?? {})).toHaveLength(1);
    await world.reviveAgent(node);
    await world.reportPool(node, {});
    expect(await state()).toBe('Ready');
  });
});

import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMigrationWorkflows } from '../../activities/cluster/migration-workflows.ts';
import type { MigrationRef, MirrorEnd } from '../../core/contracts/migration.ts';
import { CONTROLLER_TASK_QUEUE, Label, workflowId } from '../../core/contracts/names.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { nodes, volumeAttachments } from '../../system/kube/resources.ts';
import { NodeDrainTrigger } from '../../triggers/node-drain.ts';
import { VolumeUsageTrigger } from '../../triggers/volume-usage.ts';
import { createWorkflowSignals } from '../../triggers/workflow-signals.ts';
import { GiB, MigrationWorld } from './migration-world.ts';
import { signalsOf } from './started-workflows.ts';

/** No worker runs: what triggers have said stands in the workflows' histories. */
let world: MigrationWorld;
let connection: Connection;
let temporal: Client;
let triggers: readonly { start(): void; stop(): Promise<void> }[] = [];
const problems: unknown[] = [];

beforeAll(async () => {
  world = await MigrationWorld.start();
  connection = await Connection.connect({ address: world.cluster.controlPlane.temporalAddress });
  temporal = new Client({ connection });
});
afterAll(async () => {
  await connection?.close();
  await world?.stop();
});
afterEach(async () => {
  await stopTriggers();
  expect(problems.splice(0)).toEqual([]);
});

function startTriggers(): void {
  const { stores } = world.watchers;
  const logger = { info: () => undefined, warn: (fields: object, message: string) => void problems.push({ ...fields, message }) };
  const signals = createWorkflowSignals(temporal, CONTROLLER_TASK_QUEUE);
  const workflows = createMigrationWorkflows(temporal, CONTROLLER_TASK_QUEUE);
  const { findMigration, releaseHolds } = world.activities;
  const { whyStays } = world.dependencies;
  const changes = world.watchers;
  const prepareTemporal = async () => undefined;
  triggers = [
    new NodeDrainTrigger({ stores, changes, whyStays, signals, prepareTemporal, releaseHolds: (node) => releaseHolds({ node }), logger }),
    new VolumeUsageTrigger({
      stores,
      changes,
      signals,
      workflows,
      prepareTemporal,
      findMigration,
      logger: { ...logger, warn: () => undefined },
    }),
  ];
  for (const trigger of triggers) trigger.start();
}

async function stopTriggers(): Promise<void> {
  await Promise.all(triggers.map((trigger) => trigger.stop()));
  triggers = [];
}

const soon = { timeout: 5000, interval: 20 };
const expectSignals = (id: string, names: readonly string[]) =>
  vi.waitFor(async () => expect(await signalsOf(temporal, id)).toEqual(names), soon);
const evictionOf = (node: string) => signalsOf(temporal, workflowId.evictNode(node));
const label = (node: string, value: string | null) =>
  world.client.mergePatch(nodes, { name: node }, { metadata: { labels: { [Label.eviction]: value } } });

let serial = 0;
/** A storage node of its own for each test. */
const addNode = (): Promise<MirrorEnd> => world.addNode(`node-${++serial}`, `10.77.1.${serial}`);

/** Returns when each node has been looked at: a node cordoned now is looked at after those that wait already, and `stop` lets looks end. */
async function letAllBeLookedAt(): Promise<void> {
  const { node } = await addNode();
  await world.cordon(node);
  await vi.waitFor(async () => expect(await evictionOf(node)).toEqual(['nodeChanged']), soon);
  await stopTriggers();
}

describe('the eviction of a node', () => {
  test('starts within a second of its cordon', async () => {
    startTriggers();
    const milliseconds: number[] = [];
    for (let round = 0; round < 10; round++) {
      const { node } = await addNode();
      const cordoned = Date.now();
      await world.client.mergePatch(nodes, { name: node }, { spec: { unschedulable: true } });
      await vi.waitFor(async () => expect(await evictionOf(node)).toEqual(['nodeChanged']), { timeout: 5000, interval: 5 });
      const { startTime } = await temporal.workflow.getHandle(workflowId.evictNode(node)).describe();
      milliseconds.push(startTime.getTime() - cordoned);
    }
    milliseconds.sort((a, b) => a - b);
    console.log(`cordon to started eviction: median ${milliseconds[5]} ms, longest ${milliseconds[9]} ms`);
    expect(milliseconds[9]).toBeLessThan(1000);
  });

  test('starts for a node that was cordoned while no controller ran, if something is there to move', async () => {
    const [full, empty] = [await addNode(), await addNode()];
    await world.addVolume('missed', full, { claimed: false });
    await world.cordon(full.node);
    await world.cordon(empty.node);
    startTriggers();
    await letAllBeLookedAt();
    expect(await evictionOf(full.node)).toEqual(['nodeChanged']);
    expect(await evictionOf(empty.node)).toBeUndefined();
  });

  test('is started again where it was lost before its end', async () => {
    const end = await addNode();
    await world.addVolume('unmoved', end, { claimed: false });
    startTriggers();
    await world.cordon(end.node);
    const handle = temporal.workflow.getHandle(workflowId.evictNode(end.node));
    const { runId } = await vi.waitFor(() => handle.describe(), soon);
    await handle.terminate();
    await vi.waitFor(async () => expect((await handle.describe()).runId).not.toBe(runId), { timeout: 20_000, interval: 200 });
    expect(await evictionOf(end.node)).toEqual(['nodeChanged']);
  });

  test('hears of an uncordon, and of the label that keeps volumes; without the label it starts', async () => {
    const end = await addNode();
    const { node } = end;
    await world.addVolume('labelled', end, { claimed: false });
    startTriggers();
    await label(node, 'disable');
    await world.cordon(node);
    await label(node, null);
    await vi.waitFor(async () => expect(await evictionOf(node)).toEqual(['nodeChanged']), soon);
    await label(node, 'disable');
    await vi.waitFor(async () => expect(await evictionOf(node)).toHaveLength(2), soon);
    await label(node, null);
    await vi.waitFor(async () => expect(await evictionOf(node)).toHaveLength(3), soon);
    await world.cordon(node, false);
    await vi.waitFor(async () => expect(await evictionOf(node)).toHaveLength(4), soon);
  });

  test('hears something after the last of several quick changes', async () => {
    const node = await addNode();
    await world.addVolume('quick', node, { claimed: false });
    startTriggers();
    for (const unschedulable of [true, false, true]) await world.client.mergePatch(nodes, { name: node.node }, { spec: { unschedulable } });
    const last = Date.now();
    await vi.waitFor(async () => {
      const { events } = await temporal.workflow.getHandle(workflowId.evictNode(node.node)).fetchHistory();
      const heard = (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes);
      expect(Number(heard.at(-1)?.eventTime?.seconds) * 1000 + 1000).toBeGreaterThanOrEqual(last - 20);
    }, soon);
  });

  test('does not start over and over for a node that is empty, or whose volumes a person keeps there', async () => {
    const node = await addNode();
    await world.addVolume('kept', node, { claimed: false });
    const { ref } = await world.activities.openMigration({ volume: 'kept', sourceNode: node.node, trigger: 'node-drain' });
    await world.activities.reportPhase({ ref, phase: 'Aborted', message: 'test', abortedByPerson: true });
    await world.cordon(node.node);
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
    startTriggers();
    await letAllBeLookedAt();
    expect(await evictionOf(node.node)).toBeUndefined();
  });

  test('takes up again, after an uncordon, what a person had kept there', async () => {
    const node = await addNode();
    await world.addVolume('released', node, { claimed: false });
    const { ref } = await world.activities.openMigration({ volume: 'released', sourceNode: node.node, trigger: 'node-drain' });
    await world.activities.reportPhase({ ref, phase: 'Aborted', message: 'test', abortedByPerson: true });
    await world.cordon(node.node);
    startTriggers();
    await world.cordon(node.node, false);
    await vi.waitFor(async () => {
      const { metadata } = await world.client.get(localVolumeMigrates, ref);
      expect(metadata.annotations).toHaveProperty('rehome.io/hold-released');
      await world.seen('localVolumeMigrates', { metadata });
    }, soon);
    await world.cordon(node.node);
    await vi.waitFor(async () => expect(await evictionOf(node.node)).toEqual(['nodeChanged']), soon);
  });

  test('starts for a volume that turns up on a node emptied before', async () => {
    const node = await addNode();
    await world.cordon(node.node);
    startTriggers();
    await world.addVolume('late', node, { claimed: false });
    await vi.waitFor(async () => expect(await evictionOf(node.node)).toEqual(['nodeChanged']), soon);
  });
});

describe('a migration is told to look again', () => {
  let node: MirrorEnd;
  let volume: string;
  let ref: MigrationRef;

  beforeEach(async () => {
    node = await addNode();
    volume = `used-${serial}`;
    await world.addVolume(volume, node);
    ({ ref } = await world.activities.openMigration({ volume, sourceNode: node.node, trigger: 'node-drain' }));
    await temporal.workflow.start('migrateVolume', { workflowId: workflowId.migrateVolume(volume), taskQueue: CONTROLLER_TASK_QUEUE });
    await isInPhase('AwaitingDetach');
  });

  async function isInPhase(phase: 'AwaitingDetach' | 'Reserving' | 'Syncing'): Promise<void> {
    await world.activities.reportPhase({ ref, phase, message: 'test' });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
  }

  /** Starts the triggers, whose first look tells every open migration. */
  async function startQuietly(): Promise<void> {
    startTriggers();
    await expectSignals(workflowId.migrateVolume(volume), ['lookAgain']);
  }

  test('as soon as it is open, because what changed since its run looked first was told to nobody', async () => {
    startTriggers();
    const next = `next-${volume}`;
    await world.addVolume(next, node);
    await temporal.workflow.start('migrateVolume', { workflowId: workflowId.migrateVolume(next), taskQueue: CONTROLLER_TASK_QUEUE });
    await world.activities.openMigration({ volume: next, sourceNode: node.node, trigger: 'node-drain' });
    await expectSignals(workflowId.migrateVolume(next), ['lookAgain']);
  });

  test('when its pod goes', async () => {
    const pod = await world.addPod(`pod-${serial}`, volume, node.node);
    await startQuietly();
    await world.removePod(pod);
    await expectSignals(workflowId.migrateVolume(volume), ['lookAgain', 'lookAgain']);
  });

  test('when the kubelet has unmounted the volume, and when it is attached no more, once for both', async () => {
    await world.setVolumesInUse(node.node, [volume]);
    await world.attach(volume, node.node);
    await startQuietly();
    await world.setVolumesInUse(node.node, []);
    await world.client.delete(volumeAttachments, { name: `csi-${volume}` });
    await expectSignals(workflowId.migrateVolume(volume), ['lookAgain', 'lookAgain']);
  });

  test('when a node gets room, if it waits for a target', async () => {
    const target = await addNode();
    await world.reportPool(target.node, { freeCapacityBytes: 0 });
    await isInPhase('Reserving');
    await startQuietly();
    await world.reportPool(target.node, { freeCapacityBytes: 5 * GiB });
    await expectSignals(workflowId.migrateVolume(volume), ['lookAgain', 'lookAgain']);
  });

  test('but not while it copies, and not of what does not concern it', async () => {
    await isInPhase('Syncing');
    const [pod, other] = [await world.addPod(`busy-${serial}`, volume, node.node), await addNode()];
    await startQuietly();
    await world.removePod(pod);
    await world.reportPool(other.node, { freeCapacityBytes: 9 * GiB });
    await world.setVolumesInUse(other.node, ['somebody-elses']);
    await world.client.mergePatch(localVolumeMigrates, ref, { spec: { abort: true } });
    await expectSignals(workflowId.migrateVolume(volume), ['lookAgain', 'abort']);
  });

  test('once, when spec.abort was set while no controller ran', async () => {
    await world.client.mergePatch(localVolumeMigrates, ref, { spec: { abort: true } });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
    startTriggers();
    await expectSignals(workflowId.migrateVolume(volume), ['abort']);
  });

  test('and started again, if its workflow was terminated', async () => {
    await temporal.workflow.getHandle(workflowId.migrateVolume(volume)).terminate();
    startTriggers();
    await expectSignals(workflowId.migrateVolume(volume), ['follow', 'lookAgain']);
  });

  test('but not started again, once it has ended', async () => {
    await temporal.workflow.getHandle(workflowId.migrateVolume(volume)).terminate();
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'test' });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
    const other = await addNode();
    await world.addVolume('other', other, { claimed: false });
    const { ref: open } = await world.activities.openMigration({ volume: 'other', sourceNode: other.node, trigger: 'node-drain' });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, open));
    startTriggers();
    await expectSignals(workflowId.migrateVolume('other'), ['follow', 'lookAgain']);
    await stopTriggers();
    expect((await temporal.workflow.getHandle(workflowId.migrateVolume(volume)).describe()).status.name).toBe('TERMINATED');
  });
});

import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PodEvictionFacts } from '../../core/contracts/cluster-activities.ts';
import type { EvictPodInput, MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation, CONTROLLER_TASK_QUEUE, Label, workflowId } from '../../core/contracts/names.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { nodes, type Pod, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { PodEvictionTrigger } from '../../triggers/pod-eviction.ts';
import { createWorkflowSignals } from '../../triggers/workflow-signals.ts';
import { MigrationWorld } from './migration-world.ts';

/** No worker runs: what the trigger has said stands in the workflows' histories. */
let world: MigrationWorld;
let connection: Connection;
let temporal: Client;
let n1: MirrorEnd;
let trigger: PodEvictionTrigger | undefined;
const problems: unknown[] = [];

beforeAll(async () => {
  world = await MigrationWorld.start();
  connection = await Connection.connect({ address: world.cluster.controlPlane.temporalAddress });
  temporal = new Client({ connection });
  n1 = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
});
afterAll(async () => {
  await connection?.close();
  await world?.stop();
});
afterEach(async () => {
  await stopTrigger();
  expect(problems.splice(0)).toEqual([]);
});

const soon = { timeout: 10_000, interval: 20 };
let serial = 0;
let volume: string;

beforeEach(async () => {
  volume = `data-${++serial}`;
  await world.addVolume(volume, n1);
});

function startTrigger(): void {
  const logger = { info: () => undefined, warn: (fields: object, message: string) => void problems.push({ ...fields, message }) };
  trigger = new PodEvictionTrigger({
    // With the rights of the controller.
    kube: world.dependencies.kube,
    stores: world.watchers.stores,
    changes: world.watchers,
    signals: createWorkflowSignals(temporal, CONTROLLER_TASK_QUEUE),
    prepareTemporal: async () => undefined,
    logger,
  });
  trigger.start();
}

async function stopTrigger(): Promise<void> {
  await trigger?.stop();
  trigger = undefined;
}

const addPod = (spec: object = {}): Promise<Pod> => world.addPod(`db-${serial}`, volume, 'n1', spec);
const label = async ({ metadata }: Pod, value: string | null): Promise<void> =>
  world.seen('pods', await world.client.mergePatch(pods, metadata, { metadata: { labels: { [Label.eviction]: value } } }));

/** As a kubelet does whose node has too little memory. */
async function evict({ metadata }: Pod): Promise<void> {
  const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' };
  await world.seen('pods', await world.client.mergePatch(pods, metadata, { status }, { subresource: 'status' }));
}

async function markOf({ metadata }: Pod, claim = volume): Promise<string | undefined> {
  const found = await world.client.get(persistentVolumeClaims, { namespace: 'default', name: claim });
  return found.metadata.annotations?.[Annotation.evictionMark(metadata.uid)];
}
const isMarked = (pod: Pod) =>
  vi.waitFor(
    async () => expect(JSON.parse((await markOf(pod)) ?? '{}')).toEqual({ pod: pod.metadata.name, node: 'n1', claims: [volume] }),
    soon,
  );

/** Of gRPC. */
const NOT_FOUND = 5;

/** What the pod's eviction was started with, and the signals it has got. undefined: there is none. */
async function evictionOf({ metadata }: Pod): Promise<{ input: EvictPodInput; signals: number } | undefined> {
  try {
    const { events = [] } = await temporal.workflow.getHandle(workflowId.evictPod(metadata.uid)).fetchHistory();
    const payload = events![0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
    const signals = events!.filter((event) => event.workflowExecutionSignaledEventAttributes).length;
    return { input: JSON.parse(Buffer.from(payload!).toString('utf8')) as EvictPodInput, signals };
  } catch (error) {
    if (isGrpcServiceError(error) && error.code === NOT_FOUND) return undefined;
    throw error;
  }
}

const isStarted = (pod: Pod) =>
  vi.waitFor(async () => {
    const eviction = await evictionOf(pod);
    const { namespace, name, uid } = pod.metadata;
    expect(eviction?.input).toEqual({ pod: { namespace, name, uid }, node: 'n1', claims: [volume] });
    return eviction!.signals;
  }, soon);

/** Lets the trigger end what it does: one that is looked at now is looked at after those that wait, and `stop` lets looks end. */
async function letAllBeLookedAt(): Promise<void> {
  const last = await addLabelled(`last-${serial}`);
  await isMarked(last);
  await stopTrigger();
}

async function addLabelled(name: string): Promise<Pod> {
  const pod = await world.addPod(name, volume, 'n1');
  await label(pod, 'start');
  return pod;
}

describe('a pod', () => {
  test('that its kubelet evicts has its claim marked and its eviction started', async () => {
    startTrigger();
    const pod = await addPod();
    await evict(pod);
    await isMarked(pod);
    await isStarted(pod);
  });

  test('with the label has its claim marked before anything else, and its eviction started once it is deleted', async () => {
    startTrigger();
    const pod = await addPod();
    await label(pod, 'start');
    await isMarked(pod);
    expect(await evictionOf(pod)).toBeUndefined();
    await world.removePod(pod);
    await isStarted(pod);
  });

  test('with the label that takes its time to go has its eviction started when it is told to', async () => {
    startTrigger();
    const pod = await addPod({ terminationGracePeriodSeconds: 600 });
    await label(pod, 'start');
    await isMarked(pod);
    await world.client.delete(pods, pod.metadata);
    await isStarted(pod);
    await world.removePod(pod);
  });

  test('that is labelled and deleted in one breath has its eviction started all the same', async () => {
    startTrigger();
    const pod = await addPod();
    await world.client.mergePatch(pods, pod.metadata, { metadata: { labels: { [Label.eviction]: 'start' } } });
    await world.removePod(pod);
    await isStarted(pod);
    await isMarked(pod);
  });

  test('that loses the label again is marked no more', async () => {
    startTrigger();
    const pod = await addPod();
    await label(pod, 'start');
    await isMarked(pod);
    await label(pod, null);
    await vi.waitFor(async () => expect(await markOf(pod)).toBeUndefined(), soon);
    await world.removePod(pod);
    await letAllBeLookedAt();
    expect(await evictionOf(pod)).toBeUndefined();
  });

  test('without the label, and one that has none of our volumes, is left alone', async () => {
    startTrigger();
    const [pod, other] = [await addPod(), await world.addPod(`none-${serial}`, 'no-such-claim', 'n1')];
    await label(other, 'start');
    await world.removePod(pod);
    await world.removePod(other);
    await letAllBeLookedAt();
    expect([await evictionOf(pod), await evictionOf(other), await markOf(pod)]).toEqual([undefined, undefined, undefined]);
  });

  test('whose eviction has ended is labelled completed and marks nothing, and does not start it again', async () => {
    const pod = await addPod();
    await evict(pod);
    startTrigger();
    await isStarted(pod);
    await stopTrigger();
    const { input } = (await evictionOf(pod))!;
    await world.activities.endPodEviction(input);
    const ended = await world.client.get(pods, pod.metadata);
    expect(ended.metadata.labels?.[Label.eviction]).toBe('completed');
    expect(await markOf(pod)).toBeUndefined();
    await world.seen('pods', ended);
    await temporal.workflow.getHandle(workflowId.evictPod(pod.metadata.uid)).terminate();
    const { runId } = await temporal.workflow.getHandle(workflowId.evictPod(pod.metadata.uid)).describe();
    startTrigger();
    await letAllBeLookedAt();
    expect((await temporal.workflow.getHandle(workflowId.evictPod(pod.metadata.uid)).describe()).runId).toBe(runId);
  });
});

test('the end of an eviction is not told on a successor that has the name of its pod', async () => {
  const pod = await addPod();
  await label(pod, 'start');
  startTrigger();
  await isMarked(pod);
  await world.removePod(pod);
  await isStarted(pod);
  const successor = await addPod();
  await world.activities.endPodEviction((await evictionOf(pod))!.input);
  expect((await world.client.get(pods, successor.metadata)).metadata.labels?.[Label.eviction]).toBeUndefined();
  expect(await markOf(pod)).toBeUndefined();
});

describe('what happened while no controller ran is found at the start', () => {
  test('of a pod that its kubelet evicted', async () => {
    const pod = await addPod();
    await evict(pod);
    startTrigger();
    await isStarted(pod);
    await isMarked(pod);
  });

  test('of a labelled pod that was marked before and is gone', async () => {
    const pod = await addPod();
    await label(pod, 'start');
    startTrigger();
    await isMarked(pod);
    await stopTrigger();
    await world.removePod(pod);
    startTrigger();
    await isStarted(pod);
  });

  test('of a labelled pod that is being deleted', async () => {
    const pod = await addPod({ terminationGracePeriodSeconds: 600 });
    await label(pod, 'start');
    await world.client.delete(pods, pod.metadata);
    startTrigger();
    await isStarted(pod);
    await world.removePod(pod);
  });
});

describe('an eviction that runs', () => {
  let pod: Pod;
  beforeEach(async () => {
    startTrigger();
    pod = await addPod();
    await label(pod, 'start');
    await isMarked(pod);
    await world.removePod(pod);
    await isStarted(pod);
  });

  test('is told when its node gets the label that keeps volumes', async () => {
    const before = await isStarted(pod);
    await world.client.mergePatch(nodes, { name: 'n1' }, { metadata: { labels: { [Label.eviction]: 'disable' } } });
    await vi.waitFor(async () => expect((await evictionOf(pod))!.signals).toBeGreaterThan(before), soon);
    expect(await observe()).toMatchObject({ unwanted: 'node n1 has label hwameistor.io/eviction=disable' });
    await world.client.mergePatch(nodes, { name: 'n1' }, { metadata: { labels: { [Label.eviction]: null } } });
  });

  test('is started again within seconds where it is lost', async () => {
    const handle = temporal.workflow.getHandle(workflowId.evictPod(pod.metadata.uid));
    const { runId } = await handle.describe();
    await handle.terminate();
    await vi.waitFor(async () => expect((await handle.describe()).runId).not.toBe(runId), { timeout: 20_000, interval: 200 });
  });

  test('sees where its volumes are and what moves them, as long as their claims say so', async () => {
    expect(await observe()).toEqual({ volumes: [{ volume, onNode: true }], running: [] });
    const opened = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'pod-eviction' });
    const wanted = () => world.activities.observeVolume({ volume, sourceNode: 'n1', trigger: 'pod-eviction', ref: opened.ref });
    expect((await wanted()).unwanted).toBeUndefined();
    expect(await observe()).toMatchObject({ running: [{ volume, phase: 'Pending', pointOfNoReturn: false }] });
    await world.client.mergePatch(persistentVolumeClaims, claimName(), {
      metadata: { annotations: { [Annotation.evictionMark(pod.metadata.uid)]: null } },
    });
    expect(await observe()).toEqual({ volumes: [{ volume, onNode: true, unmarked: true }], running: [] });
    expect((await wanted()).unwanted).toBe('no eviction of a pod on n1 goes on');
  });

  test('ends for all of its volumes where somebody takes the mark off the claim of one, though their pod is gone', async () => {
    const log = `log-${serial}`;
    await world.addVolume(log, n1);
    const volumes = [volume, log].map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
    const both = await addPod({ volumes });
    await label(both, 'start');
    await vi.waitFor(async () => expect(await markOf(both, log)).toBeDefined(), soon);
    await world.removePod(both);
    await vi.waitFor(async () => expect((await evictionOf(both))?.input.claims).toEqual([volume, log]), soon);
    const input = (await evictionOf(both))!.input;
    expect(await world.activities.observePodEviction(input)).not.toHaveProperty('unwanted');

    const open = async (name: string) => {
      const request = { volume: name, sourceNode: 'n1', trigger: 'pod-eviction' } as const;
      const { ref } = await world.activities.openMigration(request);
      await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
      return { ref, observe: () => world.activities.observeVolume({ ...request, ref }) };
    };
    const [staying, other] = [await open(volume), await open(log)];
    const awaited = `volume ${volume} (Pending)`;
    expect((await other.observe()).companions).toEqual({ awaits: [awaited] });
    const unmarked = await world.client.mergePatch(persistentVolumeClaims, claimName(), {
      metadata: { annotations: { [Annotation.evictionMark(both.metadata.uid)]: null, [Annotation.evictionMark(pod.metadata.uid)]: null } },
    });
    await world.seen('persistentVolumeClaims', unmarked);
    expect((await world.activities.observePodEviction(input)).volumes).toEqual([
      { volume, onNode: true, unmarked: true },
      { volume: log, onNode: true },
    ]);
    const { unwanted: message = '' } = await staying.observe();
    await world.activities.reportPhase({ ref: staying.ref, phase: 'Aborted', message });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, staying.ref));
    expect((await other.observe()).companions?.takenBackWith).toEqual({ volume, byPerson: false, message });
  });

  test('sees that its volume is kept, or that what its pod runs must not move', async () => {
    const move = (value: string | null) =>
      world.client.mergePatch(persistentVolumeClaims, claimName(), { metadata: { annotations: { [Annotation.move]: value } } });
    await move('never');
    const kept = { kind: 'kept', why: 'annotation rehome.io/move=never' };
    expect(await observe()).toEqual({ volumes: [{ volume, onNode: true, stays: kept }], running: [] });
    await world.seen('persistentVolumeClaims', await move(null));
    expect(await observe()).toEqual({ volumes: [{ volume, onNode: true }], running: [] });
    const etcd = await world.addPod(`etcd-${serial}`, volume, 'n1');
    await world.client.mergePatch(pods, etcd.metadata, { metadata: { labels: { app: 'etcd' } } });
    await evict(etcd);
    const refused = { kind: 'refused', why: 'etcd runs on it (label app=etcd)' };
    await vi.waitFor(async () => expect(await observe()).toMatchObject({ volumes: [{ volume, stays: refused }] }), soon);
    // Whoever uses it now says what it is.
    await world.addPod(`other-${serial}`, volume, 'n1');
    expect((await observe()).volumes).toEqual([{ volume, onNode: true }]);
  });

  test('tells of itself on pod, claim and node, though the pod is gone', async () => {
    const { input } = (await evictionOf(pod))!;
    await world.activities.reportPodEviction({ ...input, event: 'PodEvictionStopped', message: 'test' });
    const claim = await world.client.get(persistentVolumeClaims, claimName());
    const node = await world.client.get(nodes, { name: 'n1' });
    for (const { uid } of [pod.metadata, claim.metadata, node.metadata]) {
      const told = (await world.eventsOf(uid)).filter(({ note }) => note?.includes(pod.metadata.name));
      expect(told).toMatchObject([{ reason: 'PodEvictionStopped', type: 'Warning', note: `pod default/${pod.metadata.name}: test` }]);
    }
  });

  const claimName = () => ({ namespace: 'default', name: volume });
  async function observe(): Promise<PodEvictionFacts> {
    return world.activities.observePodEviction((await evictionOf(pod))!.input);
  }
});

/** From the eviction of a pod to its successor on another node: two controllers as they are deployed, over agents whose nodes are in memory. */
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Annotation, CONTROLLER_LEASE, Label, SCHEDULING_GATE } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { freePorts } from '../../lab/cluster/ports.ts';
import { localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { leases, nodes, type Pod, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { FakeAgents } from './fake-agents.ts';
import { HeldSyncs } from './held-syncs.ts';
import { MiB, MigrationWorld, NAMESPACE } from './migration-world.ts';
import { Programs, type RunningProgram } from './programs.ts';
import { Balancer, createWebhook } from './webhook.ts';

const BOUND = ['labelled', 'pressed', 'killed', 'slipped', 'asked'];
const FREE = ['free'];

let world: MigrationWorld;
let programs: Programs;
let agents: FakeAgents;
let balancer: Balancer;
let reporting: NodeJS.Timeout;
const syncs = new HeldSyncs();

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
  const source = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await reportNodes();
  reporting = setInterval(() => void reportNodes().catch(() => undefined), 3000);
  for (const volume of BOUND) await world.addVolume(volume, source);
  for (const volume of FREE) await world.addVolume(volume, source, { nodeAffinity: false });
  const { temporalAddress: address } = world.cluster.controlPlane;
  agents = await FakeAgents.start({ address, nodes: ['n1', 'n2'], sizeBytes: 64 * MiB, synced: syncs.synced }, [...BOUND, ...FREE]);
  balancer = await Balancer.start();
  await createWebhook(world.client, balancer.port);
  await startController();
  await startController();
}, 180_000);
afterAll(async () => {
  clearInterval(reporting);
  syncs.letAllEnd();
  await programs?.stopAll();
  await agents?.stop();
  await programs?.remove();
  await balancer?.stop();
  await world?.stop();
});

/** As their kubelets do: one that was silent for a while, because the machine was busy, is a node for pods again. */
async function reportNodes(): Promise<void> {
  const room = { pods: '50', cpu: '8', memory: '8Gi' };
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: new Date().toISOString() }];
  const status = { capacity: room, allocatable: room, conditions };
  for (const name of ['n1', 'n2']) await world.client.mergePatch(nodes, { name }, { status }, { subresource: 'status' });
}

const soon = { timeout: 90_000, interval: 100 };
const controllers = new Map<RunningProgram, number>();

async function startController(): Promise<RunningProgram> {
  const [port] = await freePorts(1);
  const controller = await programs.controller({ REHOME_SYNCS_PER_NODE: '9', REHOME_WEBHOOK_LISTEN: `127.0.0.1:${port}` });
  await controller.logged('new pods are looked at', 60_000);
  balancer.ports.push(port!);
  controllers.set(controller, port!);
  return controller;
}

async function end(controller: RunningProgram, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  await controller.stop(signal);
  balancer.ports.splice(balancer.ports.indexOf(controllers.get(controller)!), 1);
  controllers.delete(controller);
}

/** The one that holds the Lease. */
async function leader(): Promise<RunningProgram> {
  return vi.waitFor(async () => {
    const { spec } = await world.client.get(leases, { namespace: NAMESPACE, name: CONTROLLER_LEASE });
    expect(spec?.holderIdentity).toBeTruthy();
    const found = [...controllers.keys()].filter(({ lines }) =>
      lines
        .filter(({ msg }) => msg.startsWith('triggers and reconcilers'))
        .at(-1)
        ?.msg.endsWith('start'),
    );
    expect(found).toHaveLength(1);
    return found[0]!;
  }, soon);
}

/** A workload of one pod, as somebody would make it. @returns its first pod, on the node of its volume. */
async function run(kind: 'StatefulSet' | 'Deployment', volume: string): Promise<Pod> {
  const labels = { app: volume };
  const spec = {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'main', image: 'none' }],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: volume } }],
  };
  const workload = {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: volume },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      ...(kind === 'StatefulSet' && { serviceName: volume }),
      template: { metadata: { labels }, spec },
    },
  };
  await programs.kubectlManifest('apply', workload);
  return placed(volume, 'n1');
}

/** Pods of the workload that have not ended. */
const podsOf = async (volume: string) => {
  const found = await world.client.list(pods, { namespace: 'default', labelSelector: `app=${volume}` });
  return found.filter(({ status }) => status?.phase !== 'Failed');
};

async function placed(volume: string, node: string): Promise<Pod> {
  return vi.waitFor(async () => {
    const found = (await podsOf(volume)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    expect(found.map(({ spec }) => spec?.nodeName)).toEqual([node]);
    return found[0]!;
  }, soon);
}

const gatesOf = ({ spec }: Pod) => (spec?.schedulingGates ?? []).map(({ name }) => name);

/** The successor is there, and waits. */
async function gated(volume: string, than: Pod): Promise<Pod> {
  return vi.waitFor(async () => {
    const found = (await podsOf(volume)).filter(({ metadata }) => metadata.uid !== than.metadata.uid);
    expect(found).toHaveLength(1);
    expect(gatesOf(found[0]!)).toEqual([SCHEDULING_GATE]);
    return found[0]!;
  }, soon);
}

const migrationOf = async (volume: string): Promise<LocalVolumeMigrate | undefined> =>
  (await world.client.list(localVolumeMigrates)).find(({ spec }) => spec.volumeName === volume);
const isInPhase = (volume: string, phase: string) =>
  vi.waitFor(async () => {
    const found = await migrationOf(volume);
    expect(found?.status?.phase).toBe(phase);
    return found!;
  }, soon);

/** As the agent of the node does, of a replica that has arrived. */
async function reportReplica(volume: string, node: string): Promise<void> {
  const replica = await vi.waitFor(async () => {
    const found = (await world.client.list(localVolumeReplicas)).find(({ spec }) => spec.volumeName === volume && spec.nodeName === node);
    expect(found).toBeDefined();
    return found!;
  }, soon);
  await world.client.mergePatch(
    localVolumeReplicas,
    replica.metadata,
    { status: { state: 'Ready', synced: true } },
    { subresource: 'status' },
  );
}

async function expectMoved(volume: string): Promise<void> {
  const migrate = await isInPhase(volume, 'Completed');
  expect(migrate.status).toMatchObject({ targetNode: 'n2' });
  const { spec } = await world.client.get(localVolumes, { name: volume });
  expect(spec.config?.replicas.map(({ hostname }) => hostname)).toEqual(['n2']);
  const claim = await vi.waitFor(async () => {
    const found = await world.client.get(persistentVolumeClaims, { namespace: 'default', name: volume });
    expect(Object.keys(found.metadata.annotations ?? {}).filter((key) => key.startsWith(Annotation.evictionMarkPrefix))).toEqual([]);
    return found;
  }, soon);
  expect(claim.status?.phase).toBe('Bound');
}

describe('the successor of an evicted pod starts on another node, with its volume', () => {
  test('after `kubectl label` and `kubectl delete`', async () => {
    const volume = 'labelled';
    const pod = await run('StatefulSet', volume);
    await programs.kubectl('label', 'pod', pod.metadata.name, `${Label.eviction}=start`);
    await vi.waitFor(async () => {
      const { metadata } = await world.client.get(persistentVolumeClaims, { namespace: 'default', name: volume });
      expect(metadata.annotations).toHaveProperty([Annotation.evictionMark(pod.metadata.uid)]);
    }, soon);
    await programs.kubectl('delete', 'pod', pod.metadata.name);
    const successor = await gated(volume, pod);
    const migrate = await isInPhase(volume, 'Syncing');
    expect(migrate.metadata.labels?.[Label.trigger]).toBe('pod-eviction');
    expect(gatesOf(await world.client.get(pods, successor.metadata))).toEqual([SCHEDULING_GATE]);
    syncs.letEnd(volume);
    expect((await placed(volume, 'n2')).metadata.uid).toBe(successor.metadata.uid);
    await expectMoved(volume);
    const told = (await world.eventsOf(pod.metadata.uid)).map(({ reason }) => reason);
    expect(told).toEqual(expect.arrayContaining(['PodEvictionStarted', 'PodEvictionCompleted']));
  }, 120_000);

  test('after its kubelet evicted it, once the mount that lingers has gone', async () => {
    const volume = 'pressed';
    const pod = await run('Deployment', volume);
    await world.setVolumesInUse('n1', [volume]);
    const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' };
    await world.client.mergePatch(pods, pod.metadata, { status }, { subresource: 'status' });
    await gated(volume, pod);
    await vi.waitFor(
      async () => expect((await migrationOf(volume))?.status?.message).toBe('waits for volumesInUse of node n1 to let go'),
      soon,
    );
    syncs.letEnd(volume);
    await world.setVolumesInUse('n1', []);
    await placed(volume, 'n2');
    await expectMoved(volume);
    const ended = await world.client.get(pods, pod.metadata);
    expect(ended.metadata.labels?.[Label.eviction]).toBe('completed');
  }, 120_000);

  test('where its PersistentVolume names no node', async () => {
    const volume = 'free';
    const pod = await run('Deployment', volume);
    await programs.kubectl('label', 'pod', pod.metadata.name, `${Label.eviction}=start`);
    await programs.kubectl('delete', 'pod', pod.metadata.name);
    await gated(volume, pod);
    syncs.letEnd(volume);
    await reportReplica(volume, 'n2');
    await placed(volume, 'n2');
    await expectMoved(volume);
  }, 120_000);

  test('after somebody asked for its volume to be moved, and deleted it in the next moment', async () => {
    const volume = 'asked';
    const pod = await run('Deployment', volume);
    const spec = { volumeName: volume, sourceNode: 'n1', targetNodesSuggested: ['n2'], migrateAllVols: true };
    await programs.kubectlManifest('apply', {
      apiVersion: 'hwameistor.io/v1alpha1',
      kind: 'LocalVolumeMigrate',
      metadata: { name: `move-${volume}` },
      spec,
    });
    await programs.kubectl('delete', 'pod', pod.metadata.name);
    await gated(volume, pod);
    syncs.letEnd(volume);
    await placed(volume, 'n2');
    await expectMoved(volume);
  }, 120_000);
});

describe('a controller', () => {
  test('that is killed while it moves the volume is followed by the other one; new pods wait all the while', async () => {
    const volume = 'killed';
    const pod = await run('StatefulSet', volume);
    await programs.kubectl('label', 'pod', pod.metadata.name, `${Label.eviction}=start`);
    await programs.kubectl('delete', 'pod', pod.metadata.name);
    const successor = await gated(volume, pod);
    await isInPhase(volume, 'Syncing');
    await end(await leader(), 'SIGKILL');
    await programs.kubectl('delete', 'pod', successor.metadata.name);
    await gated(volume, successor);
    syncs.letEnd(volume);
    await placed(volume, 'n2');
    await expectMoved(volume);
    await startController();
  }, 180_000);

  test('that was away finds the evicted pod, and waits for the successor that slipped through', async () => {
    const volume = 'slipped';
    const pod = await run('Deployment', volume);
    for (const controller of controllers.keys()) await end(controller, 'SIGTERM');
    await world.client.mergePatch(pods, pod.metadata, { status: { phase: 'Failed', reason: 'Evicted' } }, { subresource: 'status' });
    const slipped = await vi.waitFor(async () => {
      const [found] = await podsOf(volume);
      expect(found?.spec?.nodeName).toBe('n1');
      return found!;
    }, soon);
    await startController();
    await vi.waitFor(
      async () => expect((await migrationOf(volume))?.status?.message).toBe(`waits for pod default/${slipped.metadata.name} to let go`),
      soon,
    );
    syncs.letEnd(volume);
    await programs.kubectl('delete', 'pod', slipped.metadata.name);
    await placed(volume, 'n2');
    await expectMoved(volume);
  }, 180_000);
});

import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation, Label, SCHEDULING_GATE, TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import { freePorts } from '../../lab/cluster/ports.ts';
import { GatedPodsReconciler } from '../../reconcilers/gated-pods.ts';
import { localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { mutatingWebhookConfigurations, nodes, type Pod, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { reviewPod } from '../../triggers/pod-admission.ts';
import { AdmissionServer, WEBHOOK_CONFIGURATION } from '../../worker/controller/admission-server.ts';
import { createLogger } from '../../worker/logging.ts';
import { MigrationWorld } from './migration-world.ts';
import { Balancer, createWebhook } from './webhook.ts';

let world: MigrationWorld;
let balancer: Balancer;
let n1: MirrorEnd;
let reconciler: GatedPodsReconciler | undefined;
const servers: AdmissionServer[] = [];
let isActive = true;

beforeAll(async () => {
  world = await MigrationWorld.start();
  balancer = await Balancer.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await createWebhook(world.client, balancer.port);
  await startServer();
}, 120_000);
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await balancer?.stop();
  await world?.stop();
});

const soon = { timeout: 15_000, interval: 50 };
const logger = createLogger('test', 'fatal');
let serial = 0;
let volume: string;

/** With the rights of the controller. */
async function startServer(): Promise<AdmissionServer> {
  const [port] = await freePorts(1);
  const { kube, stores, whyStays } = world.dependencies;
  const review = (body: unknown) => reviewPod({ kube, stores, whyStays, isActive: () => isActive, logger }, body);
  const server = new AdmissionServer({ kube, listen: { host: '127.0.0.1', port: port! }, review, logger });
  servers.push(server);
  server.start();
  const before = balancer.ports.length;
  balancer.ports.unshift(port!);
  await vi.waitFor(async () => expect(await certificates()).toHaveLength(before + 1), soon);
  await isCalled();
  return server;
}

async function certificates(): Promise<readonly X509Certificate[]> {
  const { webhooks } = await world.client.get(mutatingWebhookConfigurations, { name: WEBHOOK_CONFIGURATION });
  const bundle = Buffer.from(webhooks![0]!.clientConfig.caBundle ?? '', 'base64').toString();
  return (bundle.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g) ?? []).map((text) => new X509Certificate(text));
}

/** The API server hears of a change of the configuration a moment later. */
async function isCalled(): Promise<void> {
  const claim = `called-${++serial}`;
  await world.addVolume(claim, n1, { nodeAffinity: false });
  await vi.waitFor(async () => {
    const pod = await createPod({}, claim);
    await world.removePod(pod);
    expect(requiredOf(pod)).toEqual([['n1']]);
  }, soon);
}

function createPod(spec: Partial<NonNullable<Pod['spec']>> = {}, claim = volume): Promise<Pod> {
  return world.addPod(`pod-${++serial}`, claim, undefined, spec);
}

const gatesOf = ({ spec }: Pod) => (spec?.schedulingGates ?? []).map(({ name }) => name);
const termsOf = ({ spec }: Pod) => spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
/** Of every term, the nodes that are required by the label that the volume's nodes bear. */
const requiredOf = (pod: Pod) =>
  termsOf(pod)?.flatMap(({ matchExpressions = [] }) =>
    matchExpressions.filter(({ key }) => key === TOPOLOGY_KEY).map(({ values }) => values),
  );

function startReconciler(): void {
  const { kube, stores, whyStays, events } = world.dependencies;
  reconciler = new GatedPodsReconciler({ kube, stores, whyStays, isActive: () => isActive, changes: world.watchers, events, logger });
  reconciler.start();
}

async function isReleased({ metadata }: Pod): Promise<Pod> {
  return vi.waitFor(async () => {
    const found = await world.client.get(pods, metadata);
    expect(gatesOf(found)).not.toContain(SCHEDULING_GATE);
    return found;
  }, soon);
}

/** As the trigger does, of a pod that is gone. */
const mark = (uid = 'gone', node = 'n1', claim = volume) =>
  annotate(Annotation.evictionMark(uid), JSON.stringify({ pod: 'gone', node }), claim);
const unmark = (uid = 'gone') => annotate(Annotation.evictionMark(uid), null);
async function annotate(key: string, value: string | null, claim = volume): Promise<void> {
  const patch = { metadata: { annotations: { [key]: value } } };
  await world.seen(
    'persistentVolumeClaims',
    await world.client.mergePatch(persistentVolumeClaims, { namespace: 'default', name: claim }, patch),
  );
}
const keep = (value: string | null) =>
  world.client.mergePatch(nodes, { name: 'n1' }, { metadata: { labels: { [Label.eviction]: value } } });
const evict = ({ metadata }: Pod) =>
  world.client.mergePatch(pods, metadata, { status: { phase: 'Failed', reason: 'Evicted' } }, { subresource: 'status' });

async function useVolume(nodeAffinity: boolean): Promise<void> {
  volume = `data-${++serial}`;
  await world.addVolume(volume, n1, { nodeAffinity });
}

afterEach(async () => {
  await reconciler?.stop();
  reconciler = undefined;
  await world.cordon('n1', false);
  await keep(null);
  await world.clear('pods', pods);
});

describe('a new pod whose PersistentVolume names its node', () => {
  beforeEach(() => useVolume(true));

  test('is created as it is where nothing is evicted, also while its node is drained', async () => {
    await world.cordon('n1');
    const pod = await createPod();
    expect([gatesOf(pod), termsOf(pod)]).toEqual([[], undefined]);
  });

  test('waits behind the gate while its claim is marked, and is scheduled when it is marked no more', async () => {
    await mark();
    startReconciler();
    const pod = await createPod();
    expect(gatesOf(pod)).toEqual([SCHEDULING_GATE]);
    await vi.waitFor(async () => {
      const [told] = await world.eventsOf(pod.metadata.uid);
      expect(told).toMatchObject({ reason: 'WaitingForVolume', note: `waits for volume ${volume} to leave node n1` });
    }, soon);
    expect(gatesOf(await world.client.get(pods, pod.metadata))).toEqual([SCHEDULING_GATE]);
    await unmark();
    expect(termsOf(await isReleased(pod))).toBeUndefined();
  });

  test('keeps the gates of others, before and after', async () => {
    await mark();
    startReconciler();
    const pod = await createPod({ schedulingGates: [{ name: 'example.com/other' }] });
    expect(gatesOf(pod)).toEqual(['example.com/other', SCHEDULING_GATE]);
    await unmark();
    expect(gatesOf(await isReleased(pod))).toEqual(['example.com/other']);
  });

  test('waits for a pod that its kubelet has evicted in this moment, of which nobody has heard yet', async () => {
    const evicted = await world.addPod(`evicted-${serial}`, volume, 'n1');
    await evict(evicted);
    expect(gatesOf(await createPod())).toEqual([SCHEDULING_GATE]);
    await world.client.mergePatch(pods, evicted.metadata, { metadata: { labels: { [Label.eviction]: 'completed' } } });
    expect(gatesOf(await createPod())).toEqual([]);
  });

  test('does not wait for a marked pod that still runs, but from the moment in which that is told to go', async () => {
    const labelled = await world.addPod(`labelled-${serial}`, volume, 'n1', { terminationGracePeriodSeconds: 600 });
    await annotate(Annotation.evictionMark(labelled.metadata.uid), JSON.stringify({ pod: labelled.metadata.name, node: 'n1' }));
    expect(gatesOf(await createPod())).toEqual([]);
    await world.client.delete(pods, labelled.metadata);
    expect(gatesOf(await createPod())).toEqual([SCHEDULING_GATE]);
  });

  test('does not wait where its volume, or another one of its volumes, is kept or must not move', async () => {
    await mark();
    await annotate(Annotation.move, 'never');
    expect(gatesOf(await createPod())).toEqual([]);
    const [kept, other] = [volume, `other-${serial}`];
    await world.addVolume(other, n1);
    await mark('gone', 'n1', other);
    const volumes = [kept, other].map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
    expect(gatesOf(await createPod({ volumes }))).toEqual([]);
    await annotate(Annotation.move, null);
    expect(gatesOf(await createPod({ volumes }))).toEqual([SCHEDULING_GATE]);
  });

  test('does not wait for the volume of an etcd that its kubelet has evicted', async () => {
    const etcd = await world.addPod(`etcd-${serial}`, volume, 'n1');
    await world.client.mergePatch(pods, etcd.metadata, { metadata: { labels: { app: 'etcd' } } });
    await world.seen('pods', await evict(etcd));
    expect(gatesOf(await createPod())).toEqual([]);
  });

  test('does not wait where the label of the node keeps its volumes', async () => {
    await mark();
    await keep('disable');
    expect(gatesOf(await createPod())).toEqual([]);
  });

  test('waits to the moment in which the volume is on its new node, and not for the removal of the old copy', async () => {
    await mark();
    const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'pod-eviction' });
    const target = { node: 'n2', storageAddress: '10.77.0.2' };
    await world.activities.reportPhase({ ref, phase: 'CuttingOver', message: 'test', target, pointOfNoReturn: true });
    startReconciler();
    const pod = await createPod();
    await world.activities.switchObjects({ ref, sourceNode: 'n1', target, sizeBytes: 64 * 2 ** 20, pool: 'LocalStorage_PoolHDD' });
    expect(gatesOf(await createPod())).toEqual([SCHEDULING_GATE]);
    await world.activities.reportPhase({ ref, phase: 'RemovingSource', message: 'test' });
    await isReleased(pod);
    expect(gatesOf(await createPod())).toEqual([]);
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'test' });
  });

  test('waits from the moment in which somebody asks for the volume to be moved, and not while that finds no node', async () => {
    const spec = { volumeName: volume, sourceNode: 'n1', targetNodesSuggested: ['n2'], migrateAllVols: true, abort: false };
    const request = await world.client.create(localVolumeMigrates, { metadata: { name: `move-${volume}` }, spec });
    startReconciler();
    const pod = await createPod();
    expect(gatesOf(pod)).toEqual([SCHEDULING_GATE]);
    const { name, uid } = request.metadata;
    const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'migrate-request', request: { name, uid } });
    await world.activities.reportPhase({ ref, phase: 'Reserving', message: 'no node can take the volume' });
    await isReleased(pod);
    const target = { node: 'n2', storageAddress: '10.77.0.2' };
    await world.activities.reportPhase({ ref, phase: 'AwaitingDetach', message: 'waits', target });
    expect(gatesOf(await createPod())).toEqual([SCHEDULING_GATE]);
    await world.activities.reportPhase({ ref, phase: 'Aborted', message: 'test' });
  });

  test('is created as it is beside a live HwameiStor, and one that waits is released where nothing is under way', async () => {
    await mark();
    const before = await createPod();
    isActive = false;
    expect(gatesOf(await createPod())).toEqual([]);
    startReconciler();
    await isReleased(before);
    isActive = true;
  });

  test('that names its node itself is not asked about: it could have no gate', async () => {
    await mark();
    expect(gatesOf(await world.addPod(`placed-${serial}`, volume, 'n1'))).toEqual([]);
  });

  test('is released though its word was lost: no change is needed for it', async () => {
    await mark();
    const pod = await createPod();
    await unmark();
    startReconciler();
    await isReleased(pod);
  });
});

describe('a new pod whose PersistentVolume names no node', () => {
  beforeEach(() => useVolume(false));

  test('must go to the node of its volume, besides all that it asks for itself', async () => {
    expect(requiredOf(await createPod())).toEqual([['n1']]);
    const required = { nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'Exists' }] }] };
    const affinity = {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required },
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] },
    };
    const terms = termsOf(await createPod({ affinity }));
    const place = { key: TOPOLOGY_KEY, operator: 'In', values: ['n1'] };
    expect(terms).toEqual([{ matchExpressions: [{ key: 'disk', operator: 'Exists' }, place] }]);
  });

  test('waits while its node is drained, and goes to where its volume is then', async () => {
    startReconciler();
    await world.cordon('n1');
    const pod = await createPod();
    expect([gatesOf(pod), termsOf(pod)]).toEqual([[SCHEDULING_GATE], undefined]);
    await moveTo('n2');
    expect(requiredOf(await isReleased(pod))).toEqual([['n2']]);
  });

  test('does not wait for a kept volume to leave, and goes to its node once that is uncordoned', async () => {
    await annotate(Annotation.move, 'never');
    await world.cordon('n1');
    const pod = await createPod();
    expect([gatesOf(pod), requiredOf(pod)]).toEqual([[], [['n1']]]);
  });

  test('goes to its old node again when that is uncordoned', async () => {
    startReconciler();
    await world.cordon('n1');
    const pod = await createPod();
    await world.cordon('n1', false);
    expect(requiredOf(await isReleased(pod))).toEqual([['n1']]);
  });

  test('waits for a replica that is up to date', async () => {
    startReconciler();
    const setState = (synced: boolean) =>
      world.client.mergePatch(localVolumeReplicas, { name: `${volume}-abc123` }, { status: { synced } }, { subresource: 'status' });
    await world.seen('localVolumeReplicas', await setState(false));
    const pod = await createPod();
    expect(gatesOf(pod)).toEqual([SCHEDULING_GATE]);
    await setState(true);
    expect(requiredOf(await isReleased(pod))).toEqual([['n1']]);
  });

  test('waits for an eviction, too', async () => {
    startReconciler();
    await mark();
    const pod = await createPod();
    expect(gatesOf(pod)).toEqual([SCHEDULING_GATE]);
    await moveTo('n2');
    await unmark();
    expect(requiredOf(await isReleased(pod))).toEqual([['n2']]);
  });

  test('does not keep the volume from going elsewhere: what it was told of its node is not what it asks for', async () => {
    await createPod();
    const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
    const request = { ref, sourceNode: 'n1', pool: 'LocalStorage_PoolHDD', sizeBytes: 64 * 2 ** 20, givenUp: {} };
    expect(await world.activities.reserveTarget(request)).toMatchObject({ kind: 'reserved', target: { node: 'n2' } });
    await world.activities.releaseReservation({ ref });
    await world.activities.reportPhase({ ref, phase: 'Aborted', message: 'test' });
  });

  /** As a migration does that has come to its end. */
  async function moveTo(node: string): Promise<void> {
    const replica = await world.addReplica(volume, `${volume}-def456`, node);
    await world.client.delete(localVolumeReplicas, { name: `${volume}-abc123` });
    await world.gone('localVolumeReplicas', { ...replica.metadata, name: `${volume}-abc123` });
    const replicas = [{ id: 1, hostname: node, ip: '10.77.0.2', primary: true }];
    await world.client.mergePatch(localVolumes, { name: volume }, { spec: { config: { replicas } } });
  }
});

test("the controller's account changes nothing else of a pod than its own label and gate", async () => {
  const { kube } = world.dependencies;
  const labels = { app: 'db' };
  const pod = await world.client.create(pods, {
    metadata: { namespace: 'default', name: `guarded-${++serial}`, labels },
    spec: { containers: [{ name: 'main', image: 'none' }], schedulingGates: [{ name: 'example.com/other' }, { name: SCHEDULING_GATE }] },
  });
  const change = (patch: object) => kube.mergePatch(pods, pod.metadata, patch);
  const image = { op: 'replace', path: '/spec/containers/0/image', value: 'somebody-elses' } as const;
  await expect(kube.jsonPatch(pods, pod.metadata, [image])).rejects.toThrow(/does not change what a pod runs/);
  await expect(change({ metadata: { labels: { app: 'other' } } })).rejects.toThrow(/and no other/);
  await expect(change({ metadata: { labels: { app: null } } })).rejects.toThrow(/and no other/);
  await expect(change({ metadata: { annotations: { a: 'b' } } })).rejects.toThrow(/annotations, finalizers and owners/);
  await expect(change({ spec: { schedulingGates: [{ name: SCHEDULING_GATE }] } })).rejects.toThrow(/its own scheduling gate/);
  const toleration = { key: 'a', operator: 'Exists' as const };
  await expect(change({ spec: { tolerations: [...(pod.spec?.tolerations ?? []), toleration] } })).rejects.toThrow(/what a pod runs/);
  const changed = await change({
    metadata: { labels: { [Label.eviction]: 'completed' } },
    spec: { schedulingGates: [{ name: 'example.com/other' }] },
  });
  expect(changed.metadata.labels).toEqual({ app: 'db', [Label.eviction]: 'completed' });
});

describe('the server that is asked', () => {
  beforeEach(() => useVolume(false));

  test('asks nobody about pods without claims, and lets pods be whose claims are not ours or not there', async () => {
    const other = await world.client.create(pods, {
      metadata: { namespace: 'default', name: `plain-${serial}` },
      spec: { containers: [{ name: 'main', image: 'none' }] },
    });
    const missing = await createPod({}, 'no-such-claim');
    expect([termsOf(other), termsOf(missing)]).toEqual([undefined, undefined]);
  });

  test('may be any of several; when one is gone the others go on, each trusted by a certificate of its own', async () => {
    const second = await startServer();
    expect(new Set((await certificates()).map(({ fingerprint256 }) => fingerprint256)).size).toBe((await certificates()).length);
    expect(requiredOf(await createPod())).toEqual([['n1']]);
    await second.stop();
    expect(requiredOf(await createPod())).toEqual([['n1']]);
  });

  test('is started again with another key, and is trusted at once', async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    expect(termsOf(await createPod())).toBeUndefined();
    await startServer();
    expect(requiredOf(await createPod())).toEqual([['n1']]);
  });

  test('puts its certificate back where somebody has applied the configuration without it', async () => {
    const clientConfig = { url: `https://127.0.0.1:${balancer.port}/pods` };
    await world.client.jsonPatch(mutatingWebhookConfigurations, { name: WEBHOOK_CONFIGURATION }, [
      { op: 'replace', path: '/webhooks/0/clientConfig', value: clientConfig },
    ]);
    await vi.waitFor(async () => expect((await certificates()).length).toBeGreaterThan(0), { timeout: 15_000, interval: 200 });
    await isCalled();
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { StorageFacts } from '../../core/domain/storage-node-report.ts';
import { NodeReporter } from '../../reconcilers/node-report.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localStorageNodes, localVolumeReplicas } from '../../system/kube/hwameistor-resources.ts';
import { isLeaseHeld, watchLease } from '../../system/kube/lease.ts';
import { leases, nodes } from '../../system/kube/resources.ts';
import { logicalVolumeFacts, POOL, storageFacts } from '../storage-facts.ts';
import { grantRights, leaseOf, NAMESPACE, startAgent } from './agents.ts';
import { type Cluster, startCluster } from './cluster.ts';

const MiB = 2 ** 20;

let cluster: Cluster;
let admin: KubeClient;
let agent: KubeClient;
let reporter: NodeReporter;
let node: string;
let number = 0;

/** What stands on the node, as a test wants it. */
let storage: () => Promise<StorageFacts>;
let looks: number;
let errors: unknown[];

beforeAll(async () => {
  cluster = await startCluster();
  admin = cluster.client;
  await grantRights(cluster);
});
afterAll(async () => cluster?.stop());

beforeEach(async () => {
  node = `n${++number}`;
  agent = await startAgent(cluster, node);
  storage = async () => facts();
  looks = 0;
  errors = [];
});
afterEach(async () => {
  await reporter?.stop();
  await agent.close();
});

function start(change: { storageAddress?: string; intervalSeconds?: number; reportLastsSeconds?: number } = {}): void {
  reporter = new NodeReporter({
    client: agent,
    nodeName: node,
    storageAddress: '10.0.0.1',
    namespace: NAMESPACE,
    pools: undefined,
    intervalSeconds: 0.2,
    readStorage: () => {
      looks++;
      return storage();
    },
    onError: (error) => errors.push(error),
    ...change,
  });
  reporter.start();
}

const facts = (volumes: readonly string[] = [], freeBytes = 600 * MiB): StorageFacts =>
  storageFacts({
    volumeGroups: [{ name: POOL, sizeBytes: 1000 * MiB, freeBytes }],
    logicalVolumes: volumes.map((name) => logicalVolumeFacts(name)),
  });

const storageNode = () => admin.get(localStorageNodes, { name: node });
const reported = (volumes: readonly string[]) =>
  vi.waitFor(async () => expect((await storageNode()).status?.pools?.[POOL]?.volumes).toEqual(volumes), { timeout: 10_000 });
/** Two more rounds have begun, so the one before has ended. */
const rounds = async () => {
  const before = looks;
  await vi.waitFor(() => expect(looks).toBeGreaterThan(before + 1), { timeout: 10_000 });
};
const createReplica = (name: string, nodeName: string) =>
  admin.create(localVolumeReplicas, {
    metadata: { name },
    spec: { volumeName: 'data', poolName: POOL, nodeName, requiredCapacityBytes: 64 * MiB, delete: false },
  });

test('an agent makes its LocalStorageNode, in the zone and region of its node', async () => {
  const labels = { 'topology.kubernetes.io/zone': 'west-1', 'topology.kubernetes.io/region': 'west' };
  await admin.mergePatch(nodes, { name: node }, { metadata: { labels } });
  start();
  await reported([]);
  const { spec, status } = await storageNode();
  expect(spec).toEqual({ hostname: node, storageIP: '10.0.0.1', topogoly: { zone: 'west-1', region: 'west' } });
  expect(status).toMatchObject({ state: 'Ready', pools: { [POOL]: { freeCapacityBytes: 600 * MiB } } });
});

test('what changes on the node is written, and nothing else: reservations and conditions stay', async () => {
  start();
  await reported([]);
  const condition = { type: 'Evacuated', status: 'False' as const, reason: 'VolumesRemain' };
  const annotations = { 'rehome.io/reserve-data': '{}' };
  await admin.mergePatch(localStorageNodes, { name: node }, { metadata: { annotations } });
  await admin.mergePatch(localStorageNodes, { name: node }, { status: { conditions: [condition] } }, { subresource: 'status' });

  storage = async () => facts(['data'], 500 * MiB);
  await reported(['data']);
  storage = async () => facts();
  await reported([]);
  storage = async () => ({ ...facts(), volumeGroups: [] });
  await vi.waitFor(async () => expect((await storageNode()).status?.pools).toEqual({}), { timeout: 10_000 });
  const { metadata, status } = await storageNode();
  expect(metadata.annotations).toEqual(annotations);
  expect(status?.conditions).toEqual([condition]);
});

test('a node on which nothing changes is not written', async () => {
  start();
  await reported([]);
  await rounds();
  const before = await storageNode();
  await rounds();
  expect((await storageNode()).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  expect(errors).toEqual([]);
});

test('what somebody else wrote there is put right', async () => {
  start();
  await reported([]);
  await admin.mergePatch(
    localStorageNodes,
    { name: node },
    { status: { state: 'Offline', pools: { [POOL]: { usedVolumeCount: 7 }, ghost: null } } },
    { subresource: 'status' },
  );
  const pools = { [POOL]: { usedVolumeCount: 0 } };
  await vi.waitFor(async () => expect((await storageNode()).status).toMatchObject({ state: 'Ready', pools }), { timeout: 10_000 });
});

test('an address that was configured anew is told', async () => {
  start();
  await reported([]);
  await reporter.stop();
  start({ storageAddress: '10.0.0.2' });
  await vi.waitFor(async () => expect((await storageNode()).spec.storageIP).toBe('10.0.0.2'), { timeout: 10_000 });
});

test("a replica of this node is reported as soon as it appears, another node's never", async () => {
  storage = async () => facts(['data']);
  start({ intervalSeconds: 300 });
  await reported(['data']);
  await createReplica(`other-${node}`, 'elsewhere');
  await createReplica(`own-${node}`, node);
  const status = async (name: string) => (await admin.get(localVolumeReplicas, { name })).status;
  await vi.waitFor(async () => expect(await status(`own-${node}`)).toBeDefined(), { timeout: 10_000 });
  expect(await status(`own-${node}`)).toEqual({
    storagePath: `/dev/${POOL}/data`,
    devPath: `/dev/${POOL}/data`,
    disks: ['/dev/sda'],
    allocatedCapacityBytes: 64 * MiB,
    state: 'Ready',
    synced: true,
    inuse: false,
    conditions: [expect.objectContaining({ type: 'Ready', status: 'True', reason: 'Ready' })],
  });
  expect(await status(`other-${node}`)).toBeUndefined();
});

test('a replica whose logical volume went away has no device any more', async () => {
  storage = async () => facts(['data']);
  await createReplica(`gone-${node}`, node);
  start();
  const status = async () => (await admin.get(localVolumeReplicas, { name: `gone-${node}` })).status;
  await vi.waitFor(async () => expect((await status())?.state).toBe('Ready'), { timeout: 10_000 });
  storage = async () => facts();
  const conditions = [expect.objectContaining({ type: 'Ready', status: 'False', reason: 'LogicalVolumeMissing' })];
  const gone = { state: 'NotReady', synced: false, inuse: false, conditions };
  await vi.waitFor(async () => expect(await status()).toEqual(gone), { timeout: 10_000 });
});

test('a look that fails is told, changes nothing, and is followed by the next', async () => {
  storage = async () => facts(['data']);
  start();
  await reported(['data']);
  storage = async () => Promise.reject(new Error('LVM is locked'));
  await vi.waitFor(() => expect(errors.map(String)).toContain('Error: LVM is locked'), { timeout: 10_000 });
  await reported(['data']);
  storage = async () => facts(['data', 'more']);
  await reported(['data', 'more']);
});

const held = async () => isLeaseHeld(watchLease(await admin.get(leases, leaseOf(node)), undefined));

test('an agent that has not been able to look at its node for a while gives its Lease up, until it can again', async () => {
  start({ reportLastsSeconds: 1 });
  await vi.waitFor(async () => expect(await held()).toBe(true), { timeout: 10_000 });
  storage = async () => Promise.reject(new Error('LVM is locked'));
  await vi.waitFor(async () => expect(await held()).toBe(false), { timeout: 10_000 });
  storage = async () => facts(['data']);
  await vi.waitFor(async () => expect(await held()).toBe(true), { timeout: 10_000 });
});

test("the agent's Lease is held while it runs, and given up when it stops", async () => {
  start();
  await vi.waitFor(async () => expect(await held()).toBe(true), { timeout: 10_000 });
  await reporter.stop();
  expect(await held()).toBe(false);
});

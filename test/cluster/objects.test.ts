import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { LocalVolumeMigrate, LocalVolumeReplica } from '../../core/contracts/objects/index.ts';
import type { KubeClient, NewObject } from '../../system/kube/client.ts';
import { isInvalid, KubeError } from '../../system/kube/errors.ts';
import { EventRecorder, type Regarding, regarding } from '../../system/kube/events.ts';
import {
  localStorageNodes,
  localVolumeGroups,
  localVolumeMigrates,
  localVolumeReplicas,
  localVolumes,
} from '../../system/kube/hwameistor-resources.ts';
import { customResourceDefinitions, leases, nodes } from '../../system/kube/resources.ts';
import { clientOf, grantRights, kubectl, leaseOf, startAgent } from './agents.ts';
import { type Cluster, startCluster } from './cluster.ts';

let cluster: Cluster;
let admin: KubeClient;
beforeAll(async () => {
  cluster = await startCluster();
  admin = cluster.client;
  await grantRights(cluster);
});
afterAll(async () => cluster?.stop());

const POOL = 'LocalStorage_PoolHDD';
const replica = (name: string, nodeName: string): NewObject<LocalVolumeReplica> => ({
  metadata: { name },
  spec: { volumeName: 'data', poolName: POOL, nodeName, requiredCapacityBytes: 4_194_304, delete: false },
});
const migrate = (name: string, sourceNode: string): NewObject<LocalVolumeMigrate> => ({
  metadata: { name },
  spec: { volumeName: 'data', sourceNode, targetNodesSuggested: [], migrateAllVols: false, abort: false },
});

/** One object of each kind with something in every column. */
async function createShownObjects(): Promise<void> {
  const name = { name: 'shown' };
  const status = { subresource: 'status' } as const;
  const config = { version: 1, volumeName: 'shown', requiredCapacityBytes: 4_194_304, convertible: false, resourceID: -1 };
  const capacity = { poolName: POOL, requiredCapacityBytes: 4_194_304, replicaNumber: 1, convertible: false, delete: false };
  const pool = (poolClass: 'HDD' | 'SSD' | 'NVMe', freeCapacityBytes: number) => ({
    [`LocalStorage_Pool${poolClass}`]: {
      name: `LocalStorage_Pool${poolClass}`,
      class: poolClass,
      type: 'REGULAR' as const,
      totalCapacityBytes: 9,
      usedCapacityBytes: 9 - freeCapacityBytes,
      freeCapacityBytes,
      volumeCapacityBytesLimit: 9,
      totalVolumeCount: 1000,
      usedVolumeCount: 0,
      freeVolumeCount: 1000,
    },
  });
  await admin.create(localVolumes, {
    metadata: name,
    spec: { ...capacity, volumegroup: 'shown-group', config: { ...config, readyToInitialize: true, initialized: true, replicas: [] } },
  });
  await admin.create(localVolumeReplicas, replica('shown', 'n9'));
  await admin.create(localVolumeMigrates, migrate('shown', 'n9'));
  await admin.create(localVolumeGroups, { metadata: { name: 'shown-group' }, spec: { pods: ['db-0'], namespace: 'shop' } });
  await admin.create(localStorageNodes, { metadata: name, spec: { hostname: 'shown', storageIP: '10.0.0.9' } });
  const used = { usedCapacityBytes: 77, state: 'Ready', publishedNode: 'n9', fsType: 'xfs' } as const;
  await admin.mergePatch(localVolumes, name, { status: used }, status);
  await admin.mergePatch(localVolumeReplicas, name, { status: { state: 'Ready', synced: true, devPath: '/dev/x' } }, status);
  const progress = { percent: 42, syncedBytes: 1, totalBytes: 2, bytesPerSecond: 3 };
  const moving = { state: 'SyncReplica', phase: 'Syncing', message: 'copies to n8', progress, targetNode: 'n8' } as const;
  await admin.mergePatch(localVolumeMigrates, name, { status: moving }, status);
  const pools = { ...pool('HDD', 1), ...pool('SSD', 2), ...pool('NVMe', 3) };
  const conditions = [{ type: 'Evacuated', status: 'False' as const }];
  await admin.mergePatch(localStorageNodes, name, { status: { state: 'Ready', pools, conditions } }, status);
}

/** The message of the error of a call that must fail. */
const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => expect.fail('it was accepted'),
    (error: unknown) => String(error),
  );

describe('the definitions', () => {
  test('are established, with no fault found in their schemas', async () => {
    const definitions = await admin.list(customResourceDefinitions);
    expect(definitions.map(({ metadata }) => metadata.name).sort()).toEqual([
      'localstoragenodes.hwameistor.io',
      'localvolumegroups.hwameistor.io',
      'localvolumemigrates.hwameistor.io',
      'localvolumereplicas.hwameistor.io',
      'localvolumes.hwameistor.io',
    ]);
    for (const { status } of definitions) {
      const conditions = Object.fromEntries((status?.conditions ?? []).map(({ type, status: held }) => [type, held]));
      expect(conditions).toMatchObject({ Established: 'True', NamesAccepted: 'True' });
      expect(conditions.NonStructuralSchema).not.toBe('True');
    }
  });

  test('let a watch select the replicas of a node', async () => {
    await admin.create(localVolumeReplicas, replica('selected', 'n7'));
    // Of a kind that was just defined the API server may still be reading what there is: it answers 429.
    const select = () => admin.list(localVolumeReplicas, { fieldSelector: 'spec.nodeName=n7' });
    const found = await vi.waitFor(select, { timeout: 10_000, interval: 100 });
    expect(found.map(({ metadata }) => metadata.name)).toEqual(['selected']);
  });
});

describe('the columns', () => {
  beforeAll(createShownObjects);

  test.each<[string, string, readonly string[], readonly string[]]>([
    [
      'lv',
      'in all its columns',
      ['NAME', 'POOL', 'REPLICAS', 'CAPACITY', 'USED', 'STATE', 'PUBLISHED', 'AGE'],
      ['shown', POOL, '1', '4194304', '77', 'Ready', 'n9'],
    ],
    [
      'lv -o wide',
      'with DRBD resource, file system and group',
      ['NAME', 'POOL', 'REPLICAS', 'CAPACITY', 'USED', 'STATE', 'RESOURCE', 'PUBLISHED', 'FSTYPE', 'GROUP', 'AGE'],
      ['shown', POOL, '1', '4194304', '77', 'Ready', '-1', 'n9', 'xfs', 'shown-group'],
    ],
    [
      'lvr',
      'in all its columns',
      ['NAME', 'CAPACITY', 'NODE', 'STATE', 'SYNCED', 'DEVICE', 'AGE'],
      ['shown', '4194304', 'n9', 'Ready', 'true', '/dev/x'],
    ],
    ['lvg', 'in all its columns', ['NAME', 'POD', 'NAMESPACE', 'AGE'], ['shown-group', '["db-0"]', 'shop']],
    ['lvmigrate', 'in all its columns', ['NAME', 'VOLUME', 'FROM', 'TO', 'STATE', 'AGE'], ['shown', 'data', 'n9', 'n8', 'SyncReplica']],
    [
      'lvmigrate -o wide',
      'with phase, percent and message',
      ['NAME', 'VOLUME', 'FROM', 'TO', 'STATE', 'PHASE', 'PERCENT', 'MESSAGE', 'AGE'],
      ['shown', 'data', 'n9', 'n8', 'SyncReplica', 'Syncing', '42', 'copies to n8'],
    ],
    ['lsn', 'in all its columns', ['NAME', 'IP', 'STATUS', 'AGE'], ['shown', '10.0.0.9', 'Ready']],
    [
      'lsn -o wide',
      'with the free bytes of its pools, and whether it is evacuated',
      ['NAME', 'IP', 'STATUS', 'POOLHDD FREECAP', 'POOLSSD FREECAP', 'POOLNVME FREECAP', 'EVACUATED', 'AGE'],
      ['shown', '10.0.0.9', 'Ready', '1', '2', '3', 'False'],
    ],
  ])('of kubectl get %s: %s', async (command, _, columns, values) => {
    const [header, ...lines] = (await kubectl(cluster, 'get', ...command.split(' '))).split('\n').map((line) => line.trim().split(/ {2,}/));
    expect(header).toEqual(columns);
    expect(lines.find(([name]) => name === values[0])?.slice(0, -1)).toEqual(values);
  });
});

describe('the API server', () => {
  test('fills in what HwameiStor fills in', async () => {
    const spec = { volumeName: 'data', sourceNode: 'n1' };
    const created = await admin.create(localVolumeMigrates, { metadata: { name: 'defaults' }, spec: spec as LocalVolumeMigrate['spec'] });
    expect(created.spec).toEqual({ ...spec, targetNodesSuggested: [], migrateAllVols: true, abort: false });
  });

  test.each([
    ['a volume smaller than an extent', { requiredCapacityBytes: 1 }, 'spec.requiredCapacityBytes'],
    ['a volume with five replicas', { replicaNumber: 5 }, 'spec.replicaNumber'],
    ['a volume in a pool whose name LVM does not take', { poolName: '-vg' }, 'spec.poolName'],
  ])('refuses %s, and says which field', async (_, change, field) => {
    const spec = { poolName: POOL, requiredCapacityBytes: 4_194_304, replicaNumber: 1, convertible: false, delete: false, ...change };
    const call = admin.create(localVolumes, { metadata: { name: 'refused' }, spec });
    expect(await refusal(call)).toContain(field);
    await expect(call).rejects.toSatisfy(isInvalid);
  });

  test('refuses a volume whose name LVM keeps to itself', async () => {
    const spec = { poolName: POOL, requiredCapacityBytes: 4_194_304, replicaNumber: 1, convertible: false, delete: false };
    expect(await refusal(admin.create(localVolumes, { metadata: { name: 'snapshot-1' }, spec }))).toContain('beginning with snapshot');
  });

  test('refuses that a migration is turned to another volume, or loses its point of no return', async () => {
    const name = { name: 'decided' };
    await admin.create(localVolumeMigrates, migrate('decided', 'n1'));
    await admin.mergePatch(localVolumeMigrates, name, { status: { pointOfNoReturn: true } }, { subresource: 'status' });
    expect(await refusal(admin.mergePatch(localVolumeMigrates, name, { spec: { sourceNode: 'n2' } }))).toContain('spec.sourceNode');
    const takenBack = admin.mergePatch(localVolumeMigrates, name, { status: { pointOfNoReturn: null } }, { subresource: 'status' });
    expect(await refusal(takenBack)).toContain('never taken back');
  });
});

describe('an agent', () => {
  let n1: KubeClient;
  let n2: KubeClient;
  beforeAll(async () => {
    n1 = await startAgent(cluster, 'n1');
    n2 = await startAgent(cluster, 'n2');
    await admin.create(localVolumeReplicas, replica('replica-n1', 'n1'));
    await admin.create(localVolumeReplicas, replica('replica-n2', 'n2'));
    await admin.create(localVolumeMigrates, migrate('migrate-n1', 'n1'));
    await admin.mergePatch(localVolumeMigrates, { name: 'migrate-n1' }, { status: { phase: 'Syncing' } }, { subresource: 'status' });
  });
  afterAll(async () => {
    await Promise.all([n1?.close(), n2?.close()]);
  });

  const createNode = (agent: KubeClient, name: string) =>
    agent.create(localStorageNodes, { metadata: { name }, spec: { hostname: name, storageIP: '10.0.0.1' } });
  const writeNode = (agent: KubeClient, name: string) =>
    agent.mergePatch(localStorageNodes, { name }, { status: { state: 'Ready' } }, { subresource: 'status' });
  const writeReplica = (agent: KubeClient, name: string) =>
    agent.mergePatch(localVolumeReplicas, { name }, { status: { state: 'Ready' } }, { subresource: 'status' });
  const progress = { percent: 1, syncedBytes: 1, totalBytes: 2, bytesPerSecond: 3 };
  const writeMigrate = (agent: KubeClient, status: object) =>
    agent.mergePatch(localVolumeMigrates, { name: 'migrate-n1' }, { status }, { subresource: 'status' });

  test("writes its own node's LocalStorageNode, replicas and Lease", async () => {
    await createNode(n1, 'n1');
    await writeNode(n1, 'n1');
    await writeReplica(n1, 'replica-n1');
    await n1.create(leases, { metadata: leaseOf('n1'), spec: { holderIdentity: 'n1' } });
  });

  test("writes no other node's", async () => {
    const denied = 'of its own node only';
    await createNode(n2, 'n2');
    expect(await refusal(createNode(n1, 'n3'))).toContain(denied);
    expect(await refusal(writeNode(n1, 'n2'))).toContain(denied);
    expect(await refusal(writeReplica(n1, 'replica-n2'))).toContain(denied);
    expect(await refusal(n1.create(leases, { metadata: leaseOf('n2'), spec: { holderIdentity: 'n1' } }))).toContain('its own Lease only');
  });

  test('says the progress of a migration from or to its node, and nothing else of it', async () => {
    await writeMigrate(n1, { progress });
    expect(await refusal(writeMigrate(n2, { progress }))).toContain('from and to its own node only');
    expect(await refusal(writeMigrate(n2, { targetNode: 'n2', progress }))).toContain('from and to its own node only');
    expect(await refusal(writeMigrate(n1, { phase: 'CuttingOver' }))).toContain('nothing else');
    expect(await refusal(writeMigrate(n1, { phase: null }))).toContain('nothing else');
    await writeMigrate(admin, { targetNode: 'n2' });
    await writeMigrate(n2, { progress: { ...progress, percent: 2 } });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['make a migration', () => n1.create(localVolumeMigrates, migrate('made', 'n1'))],
    ['want an abort', () => n1.mergePatch(localVolumeMigrates, { name: 'migrate-n1' }, { spec: { abort: true } })],
    ['make a replica', () => n1.create(localVolumeReplicas, replica('made', 'n1'))],
    ['delete a replica', () => n1.delete(localVolumeReplicas, { name: 'replica-n1' })],
    ['delete its LocalStorageNode', () => n1.delete(localStorageNodes, { name: 'n1' })],
  ])('has no right to %s', async (_, call) => {
    await expect(call()).rejects.toSatisfy((error) => error instanceof KubeError && error.status === 403);
  });

  test('tells Events of its own node and of nothing else', async () => {
    const tell = async (agent: KubeClient, object: Regarding): Promise<string> => {
      const errors: unknown[] = [];
      const options = { client: agent, reportingController: 'rehome.io/agent', reportingInstance: 'test' };
      const recorder = new EventRecorder({ ...options, onError: (error) => void errors.push(error) });
      await recorder.tell({ regarding: object, reason: 'LeftOver', note: 'test', type: 'Warning' });
      return errors.map(String).join();
    };
    const [own, others] = await Promise.all(['n1', 'n2'].map(async (name) => regarding(nodes, await admin.get(nodes, { name }))));
    expect(await tell(n1, own!)).toBe('');
    expect(await tell(n1, own!), 'once more').toBe('');
    expect(await tell(n1, others!)).toContain('Events of its own node only');
    const migration = regarding(localVolumeMigrates, await admin.get(localVolumeMigrates, { name: 'migrate-n1' }));
    expect(await tell(n1, migration)).toContain('Events of its own node only');
  });

  test('with a token that is bound to no pod writes nothing', async () => {
    const unbound = await clientOf(cluster, 'rehome-agent');
    expect(await refusal(writeNode(unbound, 'n1'))).toContain('not bound to a pod');
    await unbound.close();
  });
});

test('the controller reads no secrets, and neither deletes pods nor changes nodes', async () => {
  const account = 'system:serviceaccount:rehome-system:rehome-controller';
  const mayI = (verb: string, resource: string) =>
    kubectl(cluster, 'auth', 'can-i', verb, resource, `--as=${account}`).then(
      () => true,
      () => false,
    );
  expect(await mayI('delete', 'persistentvolumes')).toBe(true);
  for (const [verb, resource] of [
    ['get', 'secrets'],
    ['delete', 'pods'],
    ['patch', 'nodes'],
    ['delete', 'localvolumes.hwameistor.io'],
    ['create', 'clusterrolebindings.rbac.authorization.k8s.io'],
  ] as const) {
    expect(await mayI(verb, resource), `${verb} ${resource}`).toBe(false);
  }
});

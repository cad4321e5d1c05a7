import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createClusterActivities } from '../../activities/cluster/index.ts';
import type { ReserveRequest, ReserveResult } from '../../core/contracts/cluster-activities.ts';
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation, CSI_DRIVER } from '../../core/contracts/names.ts';
import type { Reservation } from '../../core/contracts/objects/index.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { csiNodes, type Node, nodes, persistentVolumeClaims, pods, volumeAttachments } from '../../system/kube/resources.ts';
import { GiB, MiB, MigrationWorld, POOL } from './migration-world.ts';

let world: MigrationWorld;
let n1: MirrorEnd;

beforeAll(async () => {
  world = await MigrationWorld.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await world.addNode('n3', '10.77.0.3');
  await world.addNode('n4', '10.77.0.4');
  await world.silenceAgent('n4');
  await world.cordon('n1');
});
afterAll(() => world?.stop());
afterEach(async () => {
  await world.clear('pods', pods);
  await world.clear('localVolumeMigrates', localVolumeMigrates);
  await world.clear('localVolumeReplicas', localVolumeReplicas);
  await world.clear('localVolumes', localVolumes);
  for (const name of ['n1', 'n2', 'n3']) {
    const held = Object.keys(await reservations(name));
    const annotations = Object.fromEntries(held.map((volume) => [Annotation.reservation(volume), null]));
    const written = await world.client.mergePatch(localStorageNodes, { name }, { metadata: { annotations } });
    await world.seen('localStorageNodes', written);
    await world.reportPool(name, {});
  }
  expect(world.errors).toEqual([]);
});

async function reservations(node: string): Promise<Record<string, Reservation>> {
  const { annotations = {} } = (await world.client.get(localStorageNodes, { name: node })).metadata;
  const found = Object.entries(annotations).filter(([key]) => key.startsWith(Annotation.reservationPrefix));
  return Object.fromEntries(
    found.map(([key, value]) => [key.slice(Annotation.reservationPrefix.length), JSON.parse(value) as Reservation]),
  );
}

async function migration(volume: string, change: Partial<ReserveRequest> = {}, claimed = false): Promise<ReserveRequest> {
  await world.addVolume(volume, n1, { claimed });
  const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
  return { ref, sourceNode: 'n1', pool: POOL, sizeBytes: 64 * MiB, givenUp: {}, ...change };
}

/** What somebody who made the LocalVolumeMigrate would have written. */
async function suggest({ ref }: ReserveRequest, targetNodesSuggested: string[], affinity: 'need' | 'forbid' = 'need'): Promise<void> {
  const change = { spec: { targetNodesSuggested }, metadata: { annotations: { [Annotation.replicaAffinity]: affinity } } };
  await world.seen('localVolumeMigrates', await world.client.mergePatch(localVolumeMigrates, { name: ref.name }, change));
}

const READY = [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }] as const;

async function setNodeStatus(name: string, status: NonNullable<Node['status']>): Promise<void> {
  await world.seen('nodes', await world.client.mergePatch(nodes, { name }, { status }, { subresource: 'status' }));
}

const targetOf = (result: ReserveResult) => (result.kind === 'reserved' ? result.target.node : result.refusals);

test('30 migrations of three controllers at once never over-commit, while agents report', async () => {
  // Room for 12 and 8 of a volume of 64 MiB and its metadata volume.
  const room = { n2: 12, n3: 8 };
  const report = (free: number) => ({ totalCapacityBytes: 20 * 68 * MiB, freeCapacityBytes: free * 68 * MiB });
  await world.reportPool('n2', report(room.n2));
  await world.reportPool('n3', report(room.n3));
  const requests = await Promise.all(Array.from({ length: 30 }, (_, index) => migration(`data-${index}`)));

  let reporting = true;
  const agents = ['n2', 'n3'].map(async (name) => {
    for (let count = 0; reporting; count++) {
      await world.client.mergePatch(
        localStorageNodes,
        { name },
        { status: { pools: { [POOL]: { usedVolumeCount: count % 2 } } } },
        { subresource: 'status' },
      );
      await sleep(50);
    }
  });
  const controllers = [0, 1, 2].map(() => createClusterActivities(world.dependencies));
  const results = await Promise.all(requests.map((request, index) => controllers[index % 3]!.reserveTarget(request)));
  reporting = false;
  await Promise.all(agents);

  expect(results.filter(({ kind }) => kind === 'reserved')).toHaveLength(20);
  expect(results.filter(({ kind }) => kind === 'refused').map(targetOf)).toEqual(
    Array(10).fill({ n1: 'SourceNode', n2: 'PoolFull', n3: 'PoolFull', n4: 'AgentNotReady' }),
  );
  for (const node of ['n2', 'n3'] as const) {
    const held = Object.values(await reservations(node));
    expect(held).toHaveLength(room[node]);
    expect(held.every(({ bytes, pool }) => bytes === 68 * MiB && pool === POOL)).toBe(true);
  }
  await world.reportPool('n2', {});
});

test('a few migrations at once go to the emptier pool each time, not all to the first', async () => {
  const requests = await Promise.all(['a', 'b', 'c', 'd'].map((volume) => migration(volume, { sizeBytes: GiB })));
  const results = await Promise.all(requests.map((request) => world.activities.reserveTarget(request)));
  expect(results.map(targetOf).sort()).toEqual(['n2', 'n2', 'n3', 'n3']);
});

test('the volumes of a pod go to one node, also where they are placed at once', async () => {
  const requests = await Promise.all(['data-0', 'log-0', 'wal-0'].map((volume) => migration(volume, { sizeBytes: GiB }, true)));
  const volumes = requests.map(({ ref }) => ({ name: ref.volume, persistentVolumeClaim: { claimName: ref.volume } }));
  await world.addPod('db-0', 'data-0', undefined, { volumes });
  const results = await Promise.all(requests.map((request) => world.activities.reserveTarget(request)));
  expect(new Set(results.map(targetOf))).toEqual(new Set(['n2']));
  await world.reportPool('n2', { freeCapacityBytes: 0 });
  const late = await migration('late', {}, true);
  await world.addPod('db-1', 'data-0', undefined, {
    volumes: [...volumes, { name: 'late', persistentVolumeClaim: { claimName: 'late' } }],
  });
  expect(targetOf(await world.activities.reserveTarget(late))).toMatchObject({ n2: 'PoolFull', n3: 'OtherVolumesElsewhere' });
});

test('a thin volume reserves of a thin pool what it has taken, and its metadata of the volume group', async () => {
  const thin = { pool: 'tp', allocatedBytes: 16 * MiB, chunkBytes: 65_536 };
  const request = await migration('thin', { thin });
  expect(targetOf(await world.activities.reserveTarget(request))).toMatchObject({ n2: 'NoSuchThinPool', n3: 'NoSuchThinPool' });
  const pool = { name: 'tp', size: GiB, metadataSize: 4 * MiB, metadataPercent: '1.00', dataPercent: '10.00', chunkSize: 65_536 };
  await world.reportPool('n3', { otherThinPools: [{ ...pool, totalProvisionedSize: 0, currentProvisionRatio: '0.00' }] });
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n3');
  expect(await reservations('n3')).toEqual({
    thin: { pool: POOL, bytes: 4 * MiB, id: request.ref.uid, thin: { pool: 'tp', bytes: 16 * MiB, promisedBytes: 64 * MiB } },
  });
});

test('a repeat keeps what stands, also where the store has not heard of it', async () => {
  const request = await migration('kept');
  const frozen = structuredClone(world.watchers.stores.localStorageNodes.list());
  const localStorageNodesBefore = { list: () => frozen, get: (key: string) => frozen.find(({ metadata }) => metadata.name === key) };
  const late = createClusterActivities({
    ...world.dependencies,
    stores: { ...world.watchers.stores, localStorageNodes: localStorageNodesBefore },
  });
  const first = await world.activities.reserveTarget(request);
  await world.reportPool('n2', { freeCapacityBytes: GiB });
  expect(await late.reserveTarget(request)).toEqual(first);
  expect([...Object.keys(await reservations('n2')), ...Object.keys(await reservations('n3'))]).toEqual(['kept']);
});

test('a target that was given up loses its reservation to the next one', async () => {
  const request = await migration('moved-on');
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n2');
  expect(targetOf(await world.activities.reserveTarget({ ...request, givenUp: { n2: 'BlockSizeTooLarge' } }))).toBe('n3');
  expect(await reservations('n2')).toEqual({});
  expect(await world.activities.reserveTarget({ ...request, givenUp: { n2: 'BlockSizeTooLarge', n3: 'GivenUp' } })).toEqual({
    kind: 'refused',
    refusals: { n1: 'SourceNode', n2: 'BlockSizeTooLarge', n3: 'GivenUp', n4: 'AgentNotReady' },
  });
});

test('what a deleted migration of the volume has left is swept away', async () => {
  const left = await migration('again');
  await world.activities.reserveTarget(left);
  await world.clear('localVolumeMigrates', localVolumeMigrates);
  const { ref } = await world.activities.openMigration({ volume: 'again', sourceNode: 'n1', trigger: 'node-drain' });
  await world.reportPool('n2', { freeCapacityBytes: 0 });
  expect(targetOf(await world.activities.reserveTarget({ ...left, ref }))).toBe('n3');
  expect(await reservations('n2')).toEqual({});
  expect(await reservations('n3')).toEqual({ again: { pool: POOL, bytes: 68 * MiB, id: ref.uid } });
});

test('of suggested nodes the first that is fit is taken, and what is wrong with the others is said', async () => {
  const request = await migration('suggested');
  await suggest(request, ['nowhere', 'n4', 'n3', 'n2']);
  const target = { node: 'n3', storageAddress: '10.77.0.3' };
  const unfit = { nowhere: 'NoSuchNode', n4: 'AgentNotReady' };
  expect(await world.activities.reserveTarget(request)).toEqual({ kind: 'reserved', target, unfit });
});

test('no other node than the suggested is taken, also where the store has not heard of the suggestion', async () => {
  const request = await migration('picky');
  const before = world.watchers.stores.localVolumeMigrates.list();
  const stale = { list: () => before, get: (key: string) => before.find(({ metadata }) => metadata.name === key) };
  const late = createClusterActivities({ ...world.dependencies, stores: { ...world.watchers.stores, localVolumeMigrates: stale } });
  await suggest(request, ['n4']);
  for (const activities of [world.activities, late])
    expect(targetOf(await activities.reserveTarget(request))).toEqual({ n4: 'AgentNotReady' });
  expect([await reservations('n2'), await reservations('n3')]).toEqual([{}, {}]);
});

test('a node that does not suit its pods is taken where replica-affinity is forbid', async () => {
  const request = await migration('anywhere', {}, true);
  await world.addPod('anywhere-0', 'anywhere', undefined, { nodeSelector: { 'kubernetes.io/hostname': 'n3' } });
  await suggest(request, ['n2']);
  expect(targetOf(await world.activities.reserveTarget(request))).toEqual({ n2: 'NodeSelectorMismatch' });
  await suggest(request, ['n2'], 'forbid');
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n2');
});

test('a migration that is taken back reserves nothing, nor does one that has ended', async () => {
  const request = await migration('over');
  await world.activities.reportPhase({ ref: request.ref, phase: 'Aborting', message: 'test' });
  expect(await world.activities.reserveTarget(request)).toEqual({ kind: 'refused', refusals: {} });
  await world.activities.reportPhase({ ref: request.ref, phase: 'Aborted', message: 'test' });
  await expect(world.activities.reserveTarget(request)).rejects.toMatchObject({ type: 'NotPermitted', nonRetryable: true });
  expect(await reservations('n2')).toEqual({});
});

test('releasing gives back what this migration holds, and leaves what others hold', async () => {
  const [mine, other] = [await migration('mine'), await migration('other')];
  await world.activities.reserveTarget(mine);
  await world.activities.reserveTarget(other);
  await world.activities.releaseReservation({ ref: { ...mine.ref, uid: other.ref.uid } });
  await world.activities.releaseReservation({ ref: mine.ref });
  await world.activities.releaseReservation({ ref: mine.ref });
  expect([...Object.keys(await reservations('n2')), ...Object.keys(await reservations('n3'))]).toEqual(['other']);
});

test('a node under pressure, one without a place for a pod, and one in another zone each refuse, and are looked at again when they mend', async () => {
  const request = await migration('fussy', {}, true);
  await world.addPod('fussy-0', 'fussy');
  await setNodeStatus('n2', { conditions: [...READY, { type: 'DiskPressure', status: 'True' }] });
  await setNodeStatus('n3', { allocatable: { pods: '1' } });
  await world.addPod('other-0', 'other', 'n3');
  const others = { n1: 'SourceNode', n4: 'AgentNotReady' };
  expect(targetOf(await world.activities.reserveTarget(request))).toEqual({ ...others, n2: 'NodeUnderPressure', n3: 'PodCountReached' });

  await setNodeStatus('n2', { conditions: [...READY] });
  await setNodeStatus('n3', { allocatable: { pods: '2' } });
  const accessibility = { zones: ['z3'], regions: ['default'] };
  await world.seen('localVolumes', await world.client.mergePatch(localVolumes, { name: 'fussy' }, { spec: { accessibility } }));
  const zoned = async (zone: string) => {
    const topogoly = { zone, region: 'default' };
    await world.seen('localStorageNodes', await world.client.mergePatch(localStorageNodes, { name: 'n3' }, { spec: { topogoly } }));
  };
  expect(targetOf(await world.activities.reserveTarget(request))).toEqual({ ...others, n2: 'NotAccessible', n3: 'NotAccessible' });
  await zoned('z3');
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n3');
  await zoned('default');
});

test('pods that keep apart from its own, or that its own must be beside, and attachments refuse nodes, until they come and go', async () => {
  const request = await migration('social', {}, true);
  const term = (name: string) => ({ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: name } } });
  const apart = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term('web')] } } };
  const beside = { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term('cache')] } } };
  const own = await world.addPod('web-0', 'social', undefined, apart, { app: 'web' });
  const sibling = await world.addPod('web-1', 'another', 'n2', {}, { app: 'web' });
  const driver = { name: CSI_DRIVER, nodeID: 'n3', allocatable: { count: 1 } };
  await world.seen('csiNodes', await world.client.create(csiNodes, { metadata: { name: 'n3' }, spec: { drivers: [driver] } }));
  await world.attach('other', 'n3');
  const others = { n1: 'SourceNode', n4: 'AgentNotReady' };
  const refused = { ...others, n2: 'PodAntiAffinityMismatch', n3: 'AttachmentCountReached' };
  expect(targetOf(await world.activities.reserveTarget(request))).toEqual(refused);

  await world.clear('volumeAttachments', volumeAttachments);
  const user = await world.addPod('user-0', 'used', 'n3');
  await world.addVolume('used', n1);
  expect(targetOf(await world.activities.reserveTarget(request)), 'a pod there uses a volume').toEqual(refused);
  await world.removePod(user);
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n3');
  await world.activities.releaseReservation(request);
  await world.clear('csiNodes', csiNodes);

  await world.removePod(own);
  await world.addPod('web-2', 'social', undefined, beside, { app: 'web' });
  await world.removePod(sibling);
  const alone = { ...others, n2: 'PodAffinityMismatch', n3: 'PodAffinityMismatch' };
  expect(targetOf(await world.activities.reserveTarget(request))).toEqual(alone);
  await world.addPod('cache-0', 'another', 'n3', {}, { app: 'cache' });
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n3');
  await world.activities.releaseReservation(request);
});

test('pods whose volumes move together are not refused because they must be beside each other', async () => {
  const requests = await Promise.all(['app', 'shared'].map((volume) => migration(volume, {}, true)));
  const volumes = requests.map(({ ref }) => ({ name: ref.volume, persistentVolumeClaim: { claimName: ref.volume } }));
  const term = { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'writer' } } };
  const beside = { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  await world.addPod('reader-0', 'app', undefined, { volumes, affinity: beside }, { app: 'reader' });
  await world.addPod('writer-0', 'shared', 'n1', {}, { app: 'writer' });
  const results = await Promise.all(requests.map((request) => world.activities.reserveTarget(request)));
  expect(results.map(targetOf)).toEqual(['n2', 'n2']);
});

describe('of two volumes whose pods wait', () => {
  const term = { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'db' } } };
  const affine = (kind: 'podAffinity' | 'podAntiAffinity') => ({
    affinity: { [kind]: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
  });
  const waiting = async (names: readonly string[], kind: 'podAffinity' | 'podAntiAffinity') => {
    const requests = await Promise.all(names.map((volume) => migration(volume, {}, true)));
    for (const { ref } of requests) await world.addPod(ref.volume, ref.volume, undefined, affine(kind), { app: 'db' });
    return requests;
  };

  test('the second is kept from where the first goes, and from where it has arrived, where their pods keep apart', async () => {
    const [first, second] = await waiting(['apart-0', 'apart-1'], 'podAntiAffinity');
    expect(targetOf(await world.activities.reserveTarget(first!))).toBe('n2');
    await world.reportPool('n3', { freeCapacityBytes: 0 });
    const refused = { n1: 'SourceNode', n2: 'PodAntiAffinityMismatch', n3: 'PoolFull', n4: 'AgentNotReady' };
    expect(targetOf(await world.activities.reserveTarget(second!))).toEqual(refused);

    await world.addReplica('apart-0', 'apart-0-arrived', 'n2');
    await world.activities.releaseReservation(first!);
    await world.seen('localStorageNodes', await world.client.get(localStorageNodes, { name: 'n2' }));
    expect(targetOf(await world.activities.reserveTarget(second!))).toEqual(refused);
    await world.reportPool('n3', {});
    expect(targetOf(await world.activities.reserveTarget(second!))).toBe('n3');
  });

  test('the first may go anywhere and the second follows, where their pods must be beside each other', async () => {
    const [first, second] = await waiting(['beside-0', 'beside-1'], 'podAffinity');
    expect(targetOf(await world.activities.reserveTarget(first!))).toBe('n2');
    expect(targetOf(await world.activities.reserveTarget(second!))).toBe('n2');
  });
});

describe('of pods with two volumes each', () => {
  const addPods = async (prefix: string) => {
    const addPod = async (name: string) => {
      const requests = [await migration(`${name}-1`, {}, true), await migration(`${name}-2`, {}, true)] as const;
      const volumes = requests.map(({ ref }) => ({ name: ref.volume, persistentVolumeClaim: { claimName: ref.volume } }));
      await world.addPod(name, '', undefined, { volumes });
      return requests;
    };
    return [...(await addPod(`${prefix}-a`)), ...(await addPod(`${prefix}-b`))] as const;
  };
  const place = async (request: ReserveRequest) => targetOf(await world.activities.reserveTarget(request));

  test.each([
    ['volumes', { freeVolumeCount: 3 }, 9],
    ['attachments', {}, 3],
  ])('each finds a node, also where the better one takes three of their four %s', async (limited, pool, attachable) => {
    const driver = { name: CSI_DRIVER, nodeID: 'n2', allocatable: { count: attachable } };
    await world.seen('csiNodes', await world.client.create(csiNodes, { metadata: { name: 'n2' }, spec: { drivers: [driver] } }));
    await world.reportPool('n2', pool);
    await world.reportPool('n3', { freeCapacityBytes: GiB, freeVolumeCount: 2 });
    const [a1, a2, b1, b2] = await addPods(limited);
    expect([await place(a1), await place(b1), await place(a2), await place(b2)]).toEqual(['n2', 'n3', 'n2', 'n3']);
    await world.clear('csiNodes', csiNodes);
  });

  test('room is kept for a volume that is going to follow, and for no other', async () => {
    await world.reportPool('n2', { freeVolumeCount: 2 });
    await world.reportPool('n3', { freeCapacityBytes: GiB });
    const [a1, a2] = await addPods('kept');
    const other = await migration('other', {}, true);
    const placeOther = async () => {
      const target = await place(other);
      await world.activities.releaseReservation(other);
      for (const name of ['n2', 'n3']) await world.seen('localStorageNodes', await world.client.get(localStorageNodes, { name }));
      return target;
    };
    expect(await place(a1)).toBe('n2');
    await world.cordon('n1', false);
    expect(await placeOther(), 'it has a migration').toBe('n3');
    await world.activities.reportPhase({ ref: a2.ref, phase: 'Aborted', message: 'test' });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, a2.ref));
    expect(await placeOther(), 'nobody moves it').toBe('n2');
    await world.cordon('n1');
    expect(await placeOther(), 'its node is to be emptied').toBe('n3');
    await world.cordon('n1', false);
    const annotations = { [Annotation.evictionMark('uid')]: JSON.stringify({ pod: 'a', node: 'n1' }) };
    const claim = { namespace: 'default', name: a2.ref.volume };
    await world.seen('persistentVolumeClaims', await world.client.mergePatch(persistentVolumeClaims, claim, { metadata: { annotations } }));
    expect(await placeOther(), 'its pod was evicted').toBe('n3');
    await world.cordon('n1');
  });

  test('a pod counts where its volumes go, and once', async () => {
    await setNodeStatus('n2', { allocatable: { pods: '1' } });
    await world.reportPool('n3', { freeCapacityBytes: 0 });
    const [a1, a2, b1, b2] = await addPods('counted');
    expect(await place(a1)).toBe('n2');
    expect(await place(b1)).toEqual({ n1: 'SourceNode', n2: 'PodCountReached', n3: 'PoolFull', n4: 'AgentNotReady' });
    await world.reportPool('n3', { freeCapacityBytes: GiB });
    expect([await place(b1), await place(a2), await place(b2)]).toEqual(['n3', 'n2', 'n3']);
    await setNodeStatus('n2', { allocatable: { pods: '110' } });
  });
});

test('an agent that is silent, and a pod that may not run there, each refuse their node', async () => {
  const request = await migration('choosy', {}, true);
  const hostname = { nodeSelector: { 'kubernetes.io/hostname': 'n3' } };
  const pod = await world.addPod('choosy-0', 'choosy', undefined, hostname);
  const refused = { n1: 'SourceNode', n2: 'NodeSelectorMismatch', n4: 'AgentNotReady' };
  await world.reportPool('n3', { freeCapacityBytes: 0 });
  expect(targetOf(await world.activities.reserveTarget(request))).toEqual({ ...refused, n3: 'PoolFull' });
  await world.reportPool('n3', {});
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n3');
  await world.activities.releaseReservation(request);
  await world.removePod(pod);
  expect(targetOf(await world.activities.reserveTarget(request))).toBe('n2');
});

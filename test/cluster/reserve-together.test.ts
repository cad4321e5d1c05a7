import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { markClaim } from '../../activities/cluster/eviction-marks.ts';
import { createClusterActivities } from '../../activities/cluster/index.ts';
import type { ReserveRequest } from '../../core/contracts/cluster-activities.ts';
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation } from '../../core/contracts/names.ts';
import { localStorageNodes, localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { type Pod, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { GiB, MigrationWorld, POOL } from './migration-world.ts';

let world: MigrationWorld;
let n1: MirrorEnd;
/** By the test that runs. */
const made: ReserveRequest[] = [];

beforeAll(async () => {
  world = await MigrationWorld.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await world.addNode('n3', '10.77.0.3');
});
afterAll(() => world?.stop());
afterEach(async () => {
  await release(made.splice(0));
  await world.clear('pods', pods);
  await world.clear('localVolumeMigrates', localVolumeMigrates);
  for (const name of ['n2', 'n3']) await world.reportPool(name, {});
});

/** Each on its own would go to the node with more room left. */
async function migration(volume: string, claimed: boolean, group?: string): Promise<ReserveRequest> {
  await world.addVolume(volume, n1, { claimed, ...(group !== undefined && { group }) });
  const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
  await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
  const request = { ref, sourceNode: 'n1', pool: POOL, sizeBytes: GiB, givenUp: {} };
  made.push(request);
  return request;
}

async function release(requests: readonly ReserveRequest[]): Promise<void> {
  for (const { ref } of requests) await world.activities.releaseReservation({ ref });
}

async function targetsOf(requests: readonly ReserveRequest[]): Promise<ReadonlySet<unknown>> {
  const results = await Promise.all(requests.map((request) => world.activities.reserveTarget(request)));
  await release(requests);
  return new Set(results.map((result) => (result.kind === 'reserved' ? result.target.node : result.refusals)));
}

test('the volumes of an evicted pod go to one node, though its object runs no more or is gone', async () => {
  const names = ['evicted-data', 'evicted-log'];
  const requests = await Promise.all(names.map((volume) => migration(volume, true)));
  const volumes = names.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
  const pod = await world.addPod('db-0', names[0]!, 'n1', { volumes });
  const mark = { uid: pod.metadata.uid, pod: 'db-0', node: 'n1', claims: names };
  for (const name of names) {
    await markClaim(world.dependencies.kube, { namespace: 'default', name }, mark);
    await world.seen('persistentVolumeClaims', await world.client.get(persistentVolumeClaims, { namespace: 'default', name }));
  }
  const status = { phase: 'Failed', reason: 'Evicted' };
  await world.seen('pods', await world.client.mergePatch(pods, pod.metadata, { status }, { subresource: 'status' }));
  expect(await targetsOf(requests)).toEqual(new Set(['n2']));
  await world.removePod(pod);
  expect((await targetsOf(requests)).size).toBe(1);
});

test('volumes that were asked for together go to one node, though no pod uses them', async () => {
  const [leader, other] = [await migration('asked', false), await migration('along', false)];
  const annotations = { [Annotation.movesWith]: leader.ref.name };
  const written = await world.client.mergePatch(localVolumeMigrates, other.ref, { metadata: { annotations } });
  await world.seen('localVolumeMigrates', written);
  expect((await targetsOf([leader, other])).size).toBe(1);
});

test('a target that was to be given up keeps its room where no other takes the volume, which only a live look may tell', async () => {
  const request = await migration('staying', false);
  expect(await world.activities.reserveTarget(request)).toMatchObject({ kind: 'reserved', target: { node: 'n2' } });
  const before = structuredClone(world.watchers.stores.localStorageNodes.list());
  const localStorageNodesBefore = { list: () => before, get: (key: string) => before.find(({ metadata }) => metadata.name === key) };
  const late = createClusterActivities({
    ...world.dependencies,
    stores: { ...world.watchers.stores, localStorageNodes: localStorageNodesBefore },
  });
  await world.reportPool('n3', { freeCapacityBytes: 0 });
  expect(await late.reserveTarget({ ...request, givenUp: { n2: 'TargetLost' } })).toMatchObject({ kind: 'refused' });
  const { annotations } = (await world.client.get(localStorageNodes, { name: 'n2' })).metadata;
  expect(annotations).toHaveProperty([Annotation.reservation('staying')]);
});

describe('of volumes that only a third one binds to each other', () => {
  let serial = 0;

  type Requests = readonly [ReserveRequest, ReserveRequest, ReserveRequest];

  /** @param grouped the last two are a LocalVolumeGroup. */
  async function three(grouped = false): Promise<Requests> {
    const name = `chain-${++serial}`;
    const group = grouped ? name : undefined;
    return [await migration(`${name}-0`, true), await migration(`${name}-1`, true, group), await migration(`${name}-2`, true, group)];
  }

  const uses = (requests: readonly ReserveRequest[], spec: Partial<NonNullable<Pod['spec']>> = {}) => {
    const volumes = requests.map(({ ref }) => ({ name: ref.volume, persistentVolumeClaim: { claimName: ref.volume } }));
    return world.addPod(`${requests[0]!.ref.volume}-${requests.length}`, '', undefined, { volumes, ...spec });
  };

  async function evicted(pod: string, requests: readonly ReserveRequest[]): Promise<void> {
    const claims = requests.map(({ ref }) => ref.volume);
    for (const name of claims) {
      await markClaim(world.dependencies.kube, { namespace: 'default', name }, { uid: pod, pod, node: 'n1', claims });
      await world.seen('persistentVolumeClaims', await world.client.get(persistentVolumeClaims, { namespace: 'default', name }));
    }
  }

  const byTwoPods = async (): Promise<Requests> => {
    const [a, b, c] = await three();
    await uses([a, b]);
    await uses([b, c]);
    return [a, b, c];
  };

  async function place(request: ReserveRequest): Promise<unknown> {
    const result = await world.activities.reserveTarget(request);
    return result.kind === 'reserved' ? result.target.node : result.refusals;
  }

  const ways: [string, () => Promise<Requests>][] = [
    ['two pods share', byTwoPods],
    [
      'a pod uses that is of a group',
      async () => {
        const [a, b, c] = await three(true);
        await uses([a, b]);
        return [a, b, c];
      },
    ],
    [
      'two evicted pods shared',
      async () => {
        const [a, b, c] = await three();
        await evicted('left', [a, b]);
        await evicted('right', [b, c]);
        return [a, b, c];
      },
    ],
  ];

  test.each(ways)('the first goes only where the last has room as well, if %s', async (_, bind) => {
    const requests = await bind();
    await world.reportPool('n2', { freeVolumeCount: 2 });
    await world.reportPool('n3', { freeCapacityBytes: 4 * GiB });
    for (const order of [requests, requests.toReversed()]) {
      expect([await place(order[0]!), await place(order[1]!), await place(order[2]!)]).toEqual(['n3', 'n3', 'n3']);
      await release(requests);
    }
  });

  test('the first goes only where the pods of the last may run', async () => {
    const [a, b, c] = await three();
    await uses([a, b]);
    await uses([b, c]);
    await uses([c], { nodeSelector: { 'kubernetes.io/hostname': 'n3' } });
    expect([await place(a), await place(b), await place(c)]).toEqual(['n3', 'n3', 'n3']);
  });

  test.each(ways)('room is kept for the last where the first has reserved, if %s', async (_, bind) => {
    const [a, b, c] = await bind();
    await world.reportPool('n2', { freeVolumeCount: 3 });
    await world.reportPool('n3', { freeCapacityBytes: 4 * GiB, freeVolumeCount: 1 });
    const other = await migration(`other-${serial}`, true);
    expect([await place(a), await place(other), await place(b), await place(c)]).toEqual(['n2', 'n3', 'n2', 'n2']);
  });

  test('a pod that has ended binds nothing', async () => {
    const [a, b, c] = await three();
    await uses([a, b]);
    const { metadata } = await uses([b, c]);
    const status = { phase: 'Succeeded' };
    await world.seen('pods', await world.client.mergePatch(pods, metadata, { status }, { subresource: 'status' }));
    await world.reportPool('n2', { freeVolumeCount: 2 });
    await world.reportPool('n3', { freeCapacityBytes: 4 * GiB });
    expect([await place(a), await place(b), await place(c)]).toEqual(['n2', 'n2', 'n3']);
  });

  test('the first is taken back with the last, and stays with it', async () => {
    const [a, b, c] = await byTwoPods();
    const observe = ({ ref }: ReserveRequest) =>
      world.activities.observeVolume({ volume: ref.volume, sourceNode: 'n1', trigger: 'node-drain', ref });
    await world.cordon('n1');
    expect((await observe(a)).companions?.awaits).toHaveLength(2);
    await world.activities.reportPhase({ ref: c.ref, phase: 'Aborting', message: 'test', abortedByPerson: true });
    await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, c.ref));
    expect((await observe(a)).companions?.takenBackWith).toEqual({ volume: c.ref.volume, byPerson: true, message: 'test' });
    expect((await observe(b)).companions?.takenBackWith).toEqual({ volume: c.ref.volume, byPerson: true, message: 'test' });

    const claim = { namespace: 'default', name: c.ref.volume };
    const annotations = { [Annotation.move]: 'never' };
    await world.seen('persistentVolumeClaims', await world.client.mergePatch(persistentVolumeClaims, claim, { metadata: { annotations } }));
    const { volumes } = await world.activities.observeNodeEviction({ node: 'n1' });
    const why = `it moves only together with ${c.ref.volume}: annotation rehome.io/move=never`;
    expect(volumes.find(({ volume }) => volume === a.ref.volume)?.stays).toEqual({ kind: 'kept', why });
    await world.cordon('n1', false);
  });
});

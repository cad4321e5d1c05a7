import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalStorageNode } from '../../core/contracts/objects/index.ts';
import { localStorageNodes } from '../../system/kube/hwameistor-resources.ts';
import { releaseReservation, reservationsOf, reserve } from '../../system/kube/reservations.ts';
import { type Cluster, startCluster } from './cluster.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => cluster?.stop());

const MiB = 2 ** 20;
const PLACES = 20;

/** As long as fewer than `PLACES` are reserved there is room. */
const refusal = (node: LocalStorageNode): string | undefined => (reservationsOf(node).size >= PLACES ? 'PoolFull' : undefined);

const place = (node: string, volume: string, id = `id-of-${volume}`) =>
  reserve(cluster.client, { node, volume, reservation: { pool: 'LocalStorage_PoolHDD', bytes: 8 * MiB, id }, refusal });

const reserved = async (name: string): Promise<string[]> =>
  [...reservationsOf(await cluster.client.get(localStorageNodes, { name })).keys()].sort();

async function createStorageNode(name: string): Promise<void> {
  await cluster.client.create(localStorageNodes, { metadata: { name }, spec: { hostname: name, storageIP: '10.77.0.2' } });
}

test('fifty placements at once for twenty places take exactly twenty, beside an agent that writes its status all the time', async () => {
  await createStorageNode('n2');
  let writing = true;
  const agent = (async () => {
    for (let written = 0; writing; written++) {
      const status = { state: written % 2 ? 'Ready' : 'Offline', pools: {} } as const;
      await cluster.client.mergePatch(localStorageNodes, { name: 'n2' }, { status }, { subresource: 'status' });
      await sleep(50);
    }
  })();
  const results = await Promise.all(Array.from({ length: 50 }, (_, index) => place('n2', `volume-${index}`)));
  writing = false;
  await agent;
  expect(results.filter(({ kind }) => kind === 'reserved')).toHaveLength(PLACES);
  expect(results.filter(({ kind }) => kind === 'refused')).toEqual(Array(50 - PLACES).fill({ kind: 'refused', refusal: 'PoolFull' }));
  expect(await reserved('n2')).toHaveLength(PLACES);
});

test('a reservation that the migration holds is kept when it asks again, even where there is no room any more', async () => {
  await createStorageNode('n3');
  for (let index = 0; index < PLACES; index++) await place('n3', `volume-${index}`);
  expect(await place('n3', 'volume-0')).toEqual({ kind: 'reserved' });
  expect(await place('n3', 'another')).toEqual({ kind: 'refused', refusal: 'PoolFull' });
});

test("what is given back is one's own", async () => {
  await createStorageNode('n4');
  await place('n4', 'data', 'mine');
  await releaseReservation(cluster.client, { node: 'n4', volume: 'data', id: 'of somebody else' });
  expect(await reserved('n4')).toEqual(['data']);
  await releaseReservation(cluster.client, { node: 'n4', volume: 'data', id: 'mine' });
  expect(await reserved('n4')).toEqual([]);
  await releaseReservation(cluster.client, { node: 'n4', volume: 'data', id: 'mine' });
  await releaseReservation(cluster.client, { node: 'gone', volume: 'data', id: 'mine' });
});

test("a later migration's reservation takes the place of an earlier one's", async () => {
  await createStorageNode('n5');
  await place('n5', 'data', 'first');
  await place('n5', 'data', 'second');
  const node = await cluster.client.get(localStorageNodes, { name: 'n5' });
  expect(reservationsOf(node).get('data')?.id).toBe('second');
});

test('an annotation that is not a reservation is nobody’s room', async () => {
  await createStorageNode('n6');
  await cluster.client.mergePatch(
    localStorageNodes,
    { name: 'n6' },
    { metadata: { annotations: { 'rehome.io/reserve-x': 'not JSON', 'rehome.io/reserve-y': '{}' } } },
  );
  expect(await place('n6', 'data')).toEqual({ kind: 'reserved' });
  expect(await reserved('n6')).toEqual(['data']);
});

test('volumes are told apart that have the longest names, and begin alike', async () => {
  await createStorageNode('n-long');
  const [one, other] = ['1', '2'].map((end) => `${'v'.repeat(126)}${end}`) as [string, string];
  for (const volume of [one, one, other]) expect(await place('n-long', volume)).toEqual({ kind: 'reserved' });
  expect(await reserved('n-long')).toEqual([one, other]);
  await releaseReservation(cluster.client, { node: 'n-long', volume: one, id: `id-of-${one}` });
  expect(await reserved('n-long')).toEqual([other]);
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlreadyExists, isConflict, isInvalid, isNotFound } from '../../system/kube/errors.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { leases, namespaces, nodes } from '../../system/kube/resources.ts';
import { type Cluster, startCluster } from './cluster.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => cluster?.stop());

/** The error of a call that must fail. */
const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => expect.fail('it succeeded'),
    (error: unknown) => error,
  );

describe('a write', () => {
  test('with the resourceVersion of before is refused once the object has changed', async () => {
    const { client } = cluster;
    const read = await client.create(leases, { metadata: { name: 'swapped', namespace: 'default' }, spec: {} });
    const { resourceVersion } = read.metadata;
    const swap = (holderIdentity: string) =>
      client.mergePatch(leases, read.metadata, { metadata: { resourceVersion }, spec: { holderIdentity } });
    await swap('first');
    expect(isConflict(await failure(swap('second')))).toBe(true);
    expect((await client.get(leases, read.metadata)).spec?.holderIdentity).toBe('first');
  });

  test('whose test does not hold is refused', async () => {
    const { client } = cluster;
    await client.create(nodes, { metadata: { name: 'tested' } });
    const operations = [
      { op: 'test', path: '/metadata/uid', value: 'another' },
      { op: 'add', path: '/metadata/labels', value: { color: 'red' } },
    ] as const;
    expect(isInvalid(await failure(client.jsonPatch(nodes, { name: 'tested' }, operations)))).toBe(true);
    expect((await client.get(nodes, { name: 'tested' })).metadata.labels).toBeUndefined();
  });

  test('of a status leaves the rest, keeps fields of no schema where the definition says so, and the other way round', async () => {
    const { client } = cluster;
    const spec = { volumeName: 'data', sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: false, abort: false };
    const name = { name: 'status' };
    await client.create(localVolumeMigrates, { metadata: name, spec });
    const persistentVolume = { uid: 'u', manifest: { spec: { anything: ['at', 'all'] } } };
    await client.mergePatch(
      localVolumeMigrates,
      name,
      { spec: { abort: true }, status: { message: 'synced', persistentVolume } },
      { subresource: 'status' },
    );
    const written = await client.mergePatch(localVolumeMigrates, name, {
      status: { message: 'never' },
      metadata: { labels: { seen: 'yes' } },
    });
    expect(written).toMatchObject({ spec, status: { message: 'synced', persistentVolume }, metadata: { labels: { seen: 'yes' } } });
  });

  test('as a dry run is checked and not stored', async () => {
    const { client } = cluster;
    await client.create(nodes, { metadata: { name: 'dry' } }, { dryRun: true });
    expect(await client.find(nodes, { name: 'dry' })).toBeUndefined();
    expect(isInvalid(await failure(client.create(nodes, { metadata: { name: 'Not A Name' } }, { dryRun: true })))).toBe(true);
  });

  test('is signed with the name of its writer', async () => {
    const created = await cluster.client.create(leases, {
      metadata: { name: 'signed', namespace: 'default' },
      spec: { holderIdentity: 'somebody' },
    });
    expect(created.metadata.managedFields).toMatchObject([{ manager: 'rehome-test' }]);
  });
});

describe('a deletion', () => {
  test('of another object than the one that was read is refused', async () => {
    const { client } = cluster;
    const { metadata } = await client.create(nodes, { metadata: { name: 'deleted' } });
    expect(isConflict(await failure(client.delete(nodes, metadata, { preconditions: { uid: 'another' } })))).toBe(true);
    await client.delete(nodes, metadata, { preconditions: { uid: metadata.uid } });
    expect(isNotFound(await failure(client.get(nodes, metadata)))).toBe(true);
    expect(isNotFound(await failure(client.delete(nodes, metadata)))).toBe(true);
  });
});

test('an object that is there is not created again', async () => {
  const metadata = { name: 'twice' };
  await cluster.client.create(nodes, { metadata });
  expect(isAlreadyExists(await failure(cluster.client.create(nodes, { metadata })))).toBe(true);
});

test('a list is read whole, however many pages it has', async () => {
  const { client } = cluster;
  await client.create(namespaces, { metadata: { name: 'many' } });
  const names = Array.from({ length: 520 }, (_, index) => `lease-${String(index).padStart(3, '0')}`);
  await Promise.all(names.map((name) => client.create(leases, { metadata: { name, namespace: 'many' } })));
  const pages: number[] = [];
  for await (const { items } of client.pages(leases, { namespace: 'many' })) pages.push(items.length);
  expect(pages).toEqual([500, 20]);
  expect((await client.list(leases, { namespace: 'many' })).map(({ metadata }) => metadata.name)).toEqual(names);
});

test('requests one after the other share a connection', async () => {
  const proxy = await cluster.startProxy();
  const client = cluster.clientBehind(proxy);
  for (let request = 0; request < 20; request++) await client.list(namespaces);
  // A second one is opened where an answer's last byte has not been read yet when the next request is made.
  expect(proxy.accepted).toBeLessThanOrEqual(2);
});

test('a request that is not answered ends at its time limit', async () => {
  const proxy = await cluster.startProxy();
  const client = cluster.clientBehind(proxy);
  await client.list(namespaces);
  proxy.freeze();
  expect(await failure(client.list(namespaces, {}, { timeoutSeconds: 0.3 }))).toMatchObject({ reason: 'TimedOut', status: undefined });
});

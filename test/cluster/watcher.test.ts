import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { KubeClient } from '../../system/kube/client.ts';
import { isExpired, isNoAnswer, KubeError } from '../../system/kube/errors.ts';
import { type Node, nodes } from '../../system/kube/resources.ts';
import { Watcher, type WatcherLimits, withoutManagedFields } from '../../system/kube/watcher.ts';
import { type Cluster, startCluster } from './cluster.ts';

const soon = { timeout: 10_000 };

let cluster: Cluster;
const unhandled: unknown[] = [];
const remember = (reason: unknown): number => unhandled.push(reason);

beforeAll(async () => {
  process.on('unhandledRejection', remember);
  cluster = await startCluster();
});
afterAll(async () => {
  await cluster?.stop();
  process.off('unhandledRejection', remember);
});

const watchers: Watcher<Node>[] = [];
afterEach(async () => {
  await Promise.all(watchers.splice(0).map((watcher) => watcher.stop()));
  const left = await cluster.client.list(nodes);
  await Promise.all(left.map(({ metadata }) => cluster.client.delete(nodes, metadata)));
  expect(unhandled).toEqual([]);
});

interface Watched {
  readonly watcher: Watcher<Node>;
  /** `+ n1`, `~ n1 cordoned`, `- n1` … in their order. */
  readonly changes: string[];
  /** Of each object that was told as new or changed, in their order. */
  readonly resourceVersions: string[];
  readonly errors: unknown[];
}

async function watchNodes(client: KubeClient = cluster.client, limits: Partial<WatcherLimits> = {}): Promise<Watched> {
  const changes: string[] = [];
  const resourceVersions: string[] = [];
  const errors: unknown[] = [];
  const watcher = new Watcher<Node>({
    client,
    resource: nodes,
    project: withoutManagedFields,
    onChange: (key, now, before) => {
      changes.push(`${!before ? '+' : now ? '~' : '-'} ${key}${now?.spec?.unschedulable ? ' cordoned' : ''}`);
      if (now) resourceVersions.push(now.metadata.resourceVersion);
    },
    onError: (error) => errors.push(error),
    limits,
  });
  watchers.push(watcher);
  watcher.start();
  await watcher.waitForSync(10);
  return { watcher, changes, resourceVersions, errors };
}

const createNode = (name: string): Promise<Node> => cluster.client.create(nodes, { metadata: { name } });
const cordon = (name: string): Promise<Node> => cluster.client.mergePatch(nodes, { name }, { spec: { unschedulable: true } });
/** Taints and such that the controller manager adds on its own make changes too: only what a test did is looked at. */
const told = (changes: readonly string[]): string[] => changes.filter((change, index) => changes.indexOf(change) === index);

async function restartApiServer(downSeconds: number): Promise<void> {
  await cluster.controlPlane.kill('apiserver');
  await sleep(downSeconds * 1000);
  await cluster.controlPlane.start('apiserver');
}

describe('a watcher', () => {
  test('tells every object of its first list, then every change within a second', async () => {
    await createNode('n1');
    const { watcher, changes, errors } = await watchNodes();
    expect(changes).toEqual(['+ n1']);

    const cordonedAt = performance.now();
    await cordon('n1');
    await vi.waitFor(() => expect(changes).toContain('~ n1 cordoned'), { timeout: 1000, interval: 5 });
    expect(performance.now() - cordonedAt).toBeLessThan(1000);
    expect(watcher.get('n1')?.spec?.unschedulable).toBe(true);
    expect(watcher.secondsSinceContact()).toBeLessThan(1);

    await cluster.client.delete(nodes, { name: 'n1' });
    await vi.waitFor(() => expect(changes.at(-1)).toBe('- n1'), soon);
    expect(watcher.list()).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('survives the death of the API server and reports what happens after its return', async () => {
    await createNode('n1');
    const { watcher, changes, errors } = await watchNodes();
    await restartApiServer(3);
    await cordon('n1');
    await vi.waitFor(() => expect(changes).toContain('~ n1 cordoned'), { timeout: 20_000 });
    expect(told(changes).filter((change) => !change.startsWith('~'))).toEqual(['+ n1']);
    expect(errors.some(isNoAnswer)).toBe(true);
    expect(watcher.secondsSinceContact()).toBeLessThan(5);
  });

  test('lists again where its place in history is gone, and tells only the difference', async () => {
    const proxy = await cluster.startProxy();
    await Promise.all(['stays', 'changes', 'goes', 'replaced'].map(createNode));
    const { watcher, changes, errors } = await watchNodes(cluster.clientBehind(proxy));
    const before = watcher.get('replaced')?.metadata.uid;
    changes.splice(0);

    proxy.cut();
    await cordon('changes');
    await cluster.client.delete(nodes, { name: 'goes' });
    await cluster.client.delete(nodes, { name: 'replaced' });
    await createNode('replaced');
    await createNode('comes');
    // A new watch cache has no past: any older resourceVersion is answered 410.
    await restartApiServer(0);
    proxy.heal();

    await vi.waitFor(() => expect(changes).toContain('- goes'), { timeout: 20_000 });
    expect(told(changes.filter((change) => change !== '~ stays')).sort()).toEqual([
      '+ comes',
      '+ replaced',
      '- goes',
      '- replaced',
      '~ changes cordoned',
    ]);
    expect(changes.indexOf('- replaced')).toBeLessThan(changes.indexOf('+ replaced'));
    expect(watcher.get('replaced')?.metadata.uid).not.toBe(before);
    expect(errors.some(isExpired)).toBe(true);
  });

  test('leaves a connection that is dead but not closed', async () => {
    const proxy = await cluster.startProxy();
    const { changes, errors } = await watchNodes(cluster.clientBehind(proxy), { silenceSeconds: 2 });
    await createNode('n1');
    await vi.waitFor(() => expect(changes).toContain('+ n1'), soon);
    proxy.freeze();
    proxy.heal();
    await cordon('n1');
    await vi.waitFor(() => expect(changes).toContain('~ n1 cordoned'), { timeout: 10_000 });
    expect(errors[0]).toBeInstanceOf(KubeError);
    expect((errors[0] as KubeError).reason).toBe('TimedOut');
  });

  test('lists everything again from time to time without telling what it knew', async () => {
    await createNode('n1');
    const lists = vi.spyOn(cluster.client, 'pages');
    const { resourceVersions, errors } = await watchNodes(cluster.client, { relistSeconds: 1 });
    await vi.waitFor(() => expect(lists.mock.calls.length).toBeGreaterThanOrEqual(3), { timeout: 10_000 });
    lists.mockRestore();
    expect(resourceVersions).not.toHaveLength(0);
    expect(new Set(resourceVersions).size).toBe(resourceVersions.length);
    expect(errors).toEqual([]);
  });

  test('reports a handler that throws and goes on', async () => {
    const errors: unknown[] = [];
    const seen: string[] = [];
    const watcher = new Watcher<Node>({
      client: cluster.client,
      resource: nodes,
      project: (node) => {
        if (node.metadata.name === 'unreadable') throw new Error('cannot project');
        return node;
      },
      onChange: (key) => {
        seen.push(key);
        throw new Error(`cannot handle ${key}`);
      },
      onError: (error) => errors.push(String(error)),
    });
    watchers.push(watcher);
    watcher.start();
    await watcher.waitForSync(10);
    await createNode('unreadable');
    await createNode('n1');
    await vi.waitFor(() => expect(seen).toContain('n1'), soon);
    expect(errors).toContain('Error: cannot project');
    expect(errors).toContain('Error: cannot handle n1');
    expect(seen).not.toContain('unreadable');
  });

  test('says why where it cannot read its first list', async () => {
    const proxy = await cluster.startProxy();
    proxy.cut();
    const watcher = new Watcher<Node>({
      client: cluster.clientBehind(proxy),
      resource: nodes,
      project: (node) => node,
      onError: () => undefined,
    });
    watchers.push(watcher);
    watcher.start();
    await expect(watcher.waitForSync(1)).rejects.toMatchObject({
      message: 'nodes could not be read: not within 1 s',
      cause: expect.objectContaining({ reason: 'NoAnswer' }),
    });
    expect(watcher.secondsSinceContact()).toBe(Number.POSITIVE_INFINITY);
  });

  test('leaves nothing behind when it is stopped', async () => {
    const proxy = await cluster.startProxy();
    const client = cluster.clientBehind(proxy);
    const { watcher, changes } = await watchNodes(client);
    expect(proxy.connections).toBeGreaterThan(0);
    await watcher.stop();
    await client.close();
    await vi.waitFor(() => expect(proxy.connections).toBe(0), soon);
    await createNode('n1');
    expect(changes).toEqual([]);
  });
});

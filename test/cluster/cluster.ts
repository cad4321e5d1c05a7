/** A real etcd, API server and controller manager for the tests of one file, with the project's CustomResourceDefinitions. */
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { vi } from 'vitest';
import { parse } from 'yaml';
import { type ControlPlane, startControlPlane } from '../../lab/cluster/index.ts';
import { KubeClient, type NewObject } from '../../system/kube/client.ts';
import { loadKubeConfig } from '../../system/kube/connection.ts';
import { customResourceDefinitions } from '../../system/kube/resources.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface Cluster {
  readonly controlPlane: ControlPlane;
  /** Of an administrator. */
  readonly client: KubeClient;
  /** One more client of the administrator, whose connections the test can cut. */
  clientBehind(proxy: TcpProxy): KubeClient;
  startProxy(): Promise<TcpProxy>;
  stop(): Promise<void>;
}

const ROOT = resolve(import.meta.dirname, '../..');

export async function startCluster(): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), 'rehome-cluster-test-'));
  const controlPlane = await startControlPlane({ directory });
  const clients: KubeClient[] = [];
  const proxies: TcpProxy[] = [];
  const connect = (server: string): KubeClient => {
    const config = loadKubeConfig(controlPlane.kubeconfig);
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, server }));
    const client = new KubeClient(config, 'rehome-test');
    clients.push(client);
    return client;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await controlPlane.stop();
    await rm(directory, { recursive: true });
  };
  const client = connect(controlPlane.apiserverUrl);
  try {
    await createDefinitions(client);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    controlPlane,
    client,
    clientBehind: (proxy) => connect(`https://127.0.0.1:${proxy.port}`),
    startProxy: async () => {
      const proxy = await TcpProxy.start(Number(new URL(controlPlane.apiserverUrl).port));
      proxies.push(proxy);
      return proxy;
    },
    stop,
  };
}

type Definition = NewObject<NonNullable<(typeof customResourceDefinitions)['objectType']>> & {
  readonly metadata: { readonly name: string };
};

async function createDefinitions(client: KubeClient): Promise<void> {
  const files = globSync('deploy/crds/*.yaml', { cwd: ROOT });
  const definitions = files.map((file) => parse(readFileSync(join(ROOT, file), 'utf8')) as Definition);
  await Promise.all(definitions.map((definition) => client.create(customResourceDefinitions, definition)));
  for (const { metadata } of definitions) {
    await vi.waitFor(
      async () => {
        const { status } = await client.get(customResourceDefinitions, { name: metadata.name });
        if (!status?.conditions?.some(({ type, status: held }) => type === 'Established' && held === 'True'))
          throw new Error(`${metadata.name} is not served`);
      },
      { timeout: 20_000 },
    );
  }
}

/** Rehome's rights as `deploy/` grants them, and clients that are agents: with a token bound to a pod on their node. */
import { join, resolve } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { vi } from 'vitest';
import { run } from '../../lab/command.ts';
import { KubeClient } from '../../system/kube/client.ts';
import { localStorageNodes } from '../../system/kube/hwameistor-resources.ts';
import { nodes, pods } from '../../system/kube/resources.ts';
import type { Cluster } from './cluster.ts';

export const NAMESPACE = 'rehome-system';
const DEPLOY = resolve(import.meta.dirname, '../../deploy');
const MANIFESTS = ['namespace.yaml', 'controller-rbac.yaml', 'agent-rbac.yaml', 'agent-admission-policy.yaml'];

export async function kubectl({ controlPlane }: Cluster, ...args: string[]): Promise<string> {
  return (await run(controlPlane.kubectl, ['--kubeconfig', controlPlane.kubeconfig, ...args])).stdout;
}

/** Returns when the rights and the admission policy are in force. */
export async function grantRights(cluster: Cluster): Promise<void> {
  await kubectl(cluster, 'apply', ...MANIFESTS.flatMap((name) => ['-f', join(DEPLOY, name)]));
  const unbound = await clientOf(cluster, 'rehome-agent');
  // The API server's own caches learn of rights and policies after they were stored.
  await vi.waitFor(
    async () => {
      const refused = await unbound
        .create(localStorageNodes, { metadata: { name: 'probe' }, spec: { hostname: 'probe', storageIP: '10.0.0.1' } }, { dryRun: true })
        .then(() => 'nothing', String);
      if (!refused.includes('not bound to a pod')) throw new Error(`the policy is not in force: ${refused}`);
    },
    { timeout: 30_000, interval: 200 },
  );
  await unbound.close();
}

/** The agent of a node: the node and the agent's pod are made. */
export async function startAgent(cluster: Cluster, node: string): Promise<KubeClient> {
  const pod = `rehome-agent-${node}`;
  await cluster.client.create(nodes, { metadata: { name: node } });
  const spec = { serviceAccountName: 'rehome-agent', nodeName: node, containers: [{ name: 'agent', image: 'rehome' }] };
  await cluster.client.create(pods, { metadata: { name: pod, namespace: NAMESPACE }, spec });
  return clientOf(cluster, 'rehome-agent', '--bound-object-kind=Pod', `--bound-object-name=${pod}`);
}

/** A client of the service account. */
export async function clientOf(cluster: Cluster, account: string, ...bound: string[]): Promise<KubeClient> {
  const token = (await kubectl(cluster, '-n', NAMESPACE, 'create', 'token', account, ...bound)).trim();
  const admin = new KubeConfig();
  admin.loadFromFile(cluster.controlPlane.kubeconfig);
  const config = new KubeConfig();
  config.loadFromClusterAndUser(admin.getCurrentCluster()!, { name: account, token });
  return new KubeClient(config, account);
}

export const leaseOf = (node: string) => ({ namespace: NAMESPACE, name: `rehome-agent-${node}` });

/** A node that has too little of something: its kubelet gives up a pod, as Kubernetes' own does under node pressure. */
import type { ApiClient } from './cluster/api-client.ts';

/** The kubelet's words for it. */
const EVICTED = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' };

/**
 * Fails a pod that runs on the node. The lab's kubelet ends its containers at once and leaves its volumes mounted for a while, see
 * `mountLingers` in lab/kubelet/pod-lifecycle.ts.
 * @param pod its name, in namespace `default`, or `namespace/name`. @throws where it is not on that node.
 */
export async function evictUnderPressure(client: ApiClient, node: string, pod: string): Promise<void> {
  const [name = '', namespace = 'default'] = pod.split('/').reverse();
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const { spec } = await client.get<{ spec: { nodeName?: string } }>(path);
  if (spec.nodeName !== node) throw new Error(`pod ${pod} is on ${spec.nodeName ?? 'no node'}, not on ${node}`);
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'TerminationByKubelet',
    message: EVICTED.message,
    lastTransitionTime: new Date().toISOString(),
  };
  await client.patch(`${path}/status`, { status: { ...EVICTED, conditions: [condition] } }, 'application/strategic-merge-patch+json');
}

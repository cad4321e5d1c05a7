import type { PodOnNode } from '../../../lab/kubelet/node-snapshot.ts';
import type { Container, Pod, PodStatus } from '../../../lab/kubelet/objects.ts';

/** A pod of one container `main`, with what a test changes of it. */
export function pod({
  spec,
  status,
  metadata,
}: {
  spec?: Partial<Pod['spec']>;
  status?: PodStatus;
  metadata?: Partial<Pod['metadata']>;
} = {}): Pod {
  return {
    metadata: {
      name: 'web-0',
      namespace: 'default',
      uid: 'u1',
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: { nodeName: 'n1', serviceAccountName: 'default', restartPolicy: 'Always', containers: [container('main')], ...spec },
    status: status ?? { phase: 'Pending' },
  };
}

export function container(name: string, change: Partial<Container> = {}): Container {
  return { name, image: 'busybox', command: ['sleep', '1d'], ...change };
}

export type ContainerFixture = { attempt?: number; startedAt?: number; exit?: { code: number; at: number } };

export function onNode(containers: Record<string, ContainerFixture>, change: Partial<PodOnNode> = {}): PodOnNode {
  const states = Object.entries(containers).map(([name, state]) => [name, { attempt: 1, startedAt: 1000, ...state }] as const);
  return {
    namespace: 'default',
    name: 'web-0',
    prepared: true,
    stopping: false,
    claims: new Map(),
    containers: new Map(states),
    ...change,
  };
}

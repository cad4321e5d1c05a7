/** The Node, its Lease and its CSINode: what tells the cluster that the node is there. Pure but for the last class. */
import type { ApiClient } from '../cluster/api-client.ts';
import type { Machine } from '../machines/index.ts';
import { type Condition, CSI_DRIVER, type Node } from './objects.ts';

const TOPOLOGY_KEY = 'topology.lvm.hwameistor.io/node';
const LEASE_PATH = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
/** As kubelet's default. The controller manager looks at the time of the renewal, not at this. */
const LEASE_SECONDS = 40;

export interface NodeFacts {
  readonly bootId: string;
  readonly kernelVersion: string;
  readonly memoryKiB: number;
}

export class NodeObjects {
  readonly #client: ApiClient;
  readonly #machine: Pick<Machine, 'name' | 'managementAddress'>;

  constructor(client: ApiClient, machine: Pick<Machine, 'name' | 'managementAddress'>) {
    this.#client = client;
    this.#machine = machine;
  }

  /** Makes the objects unless they stand, and says that the node is Ready. */
  async register(facts: NodeFacts): Promise<void> {
    const { name } = this.#machine;
    const labels = {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': 'amd64',
      [TOPOLOGY_KEY]: name,
    };
    // Without the annotation the controller manager makes no VolumeAttachments for the node.
    const annotations = { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' };
    await this.#client.ensure('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels, annotations } });
    await this.#client.ensure('/apis/storage.k8s.io/v1/csinodes', {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSINode',
      metadata: { name },
      spec: { drivers: [{ name: CSI_DRIVER, nodeID: name, topologyKeys: [TOPOLOGY_KEY] }] },
    });
    await this.#client.ensure(LEASE_PATH, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime: microTime(new Date()) },
    });
    await this.#patchStatus(nodeStatus(facts, name, this.#machine.managementAddress));
  }

  async renewLease(): Promise<void> {
    await this.#client.patch(`${LEASE_PATH}/${this.#machine.name}`, { spec: { renewTime: microTime(new Date()) } });
  }

  /** Says that the node is Ready. The time of an unchanged condition stays as it was. */
  async reportReady(node: Node | undefined): Promise<void> {
    await this.#patchStatus({ conditions: readyConditions(new Date().toISOString(), node?.status?.conditions) });
  }

  async reportVolumesInUse(names: readonly string[]): Promise<void> {
    await this.#client.patch(`/api/v1/nodes/${this.#machine.name}/status`, { status: { volumesInUse: names } });
  }

  async #patchStatus(status: object): Promise<void> {
    await this.#client.patch(`/api/v1/nodes/${this.#machine.name}/status`, { status }, 'application/strategic-merge-patch+json');
  }
}

function nodeStatus({ bootId, kernelVersion, memoryKiB }: NodeFacts, name: string, address: string): object {
  const capacity = { cpu: '1', memory: `${memoryKiB}Ki`, pods: '110' };
  return {
    capacity,
    allocatable: capacity,
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: name },
    ],
    conditions: readyConditions(new Date().toISOString(), undefined),
    nodeInfo: {
      bootID: bootId,
      machineID: name,
      systemUUID: name,
      kernelVersion,
      osImage: 'virtual node of the lab',
      containerRuntimeVersion: 'lab://1',
      kubeletVersion: 'v1.36.3-lab',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: 'amd64',
    },
  };
}

/** @param now ISO 8601. */
export function readyConditions(now: string, previous: readonly Condition[] | undefined): Condition[] {
  const statuses = { MemoryPressure: 'False', DiskPressure: 'False', PIDPressure: 'False', Ready: 'True' };
  return Object.entries(statuses).map(([type, status]) => {
    const before = previous?.find((condition) => condition.type === type);
    const lastTransitionTime = before?.status === status && before.lastTransitionTime ? before.lastTransitionTime : now;
    return { type, status, reason: 'KubeletReady', message: 'the node answers', lastHeartbeatTime: now, lastTransitionTime };
  });
}

/** As metav1.MicroTime. */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}

/** The parts of a lab, opened from its state by every command anew. */
import { join } from 'node:path';
import { ControlPlane } from './cluster/index.ts';
import type { ListenAddress } from './cluster/preflight.ts';
import { HOST_MANAGEMENT_ADDRESS } from './machines/index.ts';
import type { BackgroundProgram } from './processes.ts';
import type { LabState } from './state.ts';

/** Of a lab, where nobody says otherwise. */
export const NODES = 3;

/** etcd's are free ports of loopback. */
export const PORTS = { apiserver: 6443, temporal: 7233, temporalUi: 8233 } as const;

/** Where the controller answers the API server. */
export const WEBHOOK = { address: '127.0.0.1', port: 9443 } as const;

/** Where the lab's processes listen on the host: what `lab/cluster/components.ts` and `lab/rehome.ts` tell them. */
export const LISTENERS: readonly ListenAddress[] = [
  { address: HOST_MANAGEMENT_ADDRESS, port: PORTS.apiserver },
  // The server, and the relay that nodes reach it by.
  ...['127.0.0.1', HOST_MANAGEMENT_ADDRESS].map((address) => ({ address, port: PORTS.temporal })),
  { address: '127.0.0.1', port: PORTS.temporalUi },
  WEBHOOK,
];

export function openControlPlane(directory: string, { ports, programs }: LabState): ControlPlane {
  return new ControlPlane({ directory, address: HOST_MANAGEMENT_ADDRESS, ports, programs });
}

/** @param node its user of the cluster is made with it, see `addKubeletUser`. */
export function kubeletProgram(directory: string, node: string): BackgroundProgram {
  return { program: process.execPath, args: [join(import.meta.dirname, 'kubelet', 'main.ts'), node, directory] };
}

export function kubeletName(node: string): string {
  return `kubelet-${node}`;
}

/** Owners of pods whose containers are not to be started, see lab/kubelet/pod-worker.ts. */
export function holdDirectory(directory: string, node: string): string {
  return join(directory, 'held', node);
}

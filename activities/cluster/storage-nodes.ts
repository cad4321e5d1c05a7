/** Nodes that store volumes, each with what is reserved on it: every part of a plan asks for that. */
import type { LocalStorageNode, Reservation } from '../../core/contracts/objects/index.ts';
import { reservationsOf } from '../../system/kube/reservations.ts';

export interface StorageNode extends LocalStorageNode {
  /** By volume. */
  readonly reservations: ReadonlyMap<string, Reservation>;
}

/** By name. */
export type StorageNodes = ReadonlyMap<string, StorageNode>;

export function storageNodeOf(node: LocalStorageNode): StorageNode {
  return { ...node, reservations: reservationsOf(node) };
}

export function storageNodesOf(nodes: readonly LocalStorageNode[]): Map<string, StorageNode> {
  return new Map(nodes.map((node) => [node.metadata.name, storageNodeOf(node)]));
}

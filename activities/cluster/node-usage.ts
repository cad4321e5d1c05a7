/** What pods take of the nodes where they are or are going to be, of which a node has only so much. */
import { CSI_DRIVER } from '../../core/contracts/names.ts';
import type { Places } from '../../core/domain/placement.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { PodPlaces } from './pod-places.ts';
import type { ClusterStores } from './stores.ts';

/** By node. */
export interface NodeUsage {
  /** uids: those that its kubelet counts, or is going to. */
  readonly pods: ReadonlyMap<string, ReadonlySet<string>>;
  /** Of the nodes that limit them; counted as the scheduler's plugin NodeVolumeLimits does. */
  readonly attachments: ReadonlyMap<string, Places>;
}

export function nodeUsageOf(stores: ClusterStores, places: readonly PodPlaces[]): NodeUsage {
  const placed = places.flatMap(({ pod, volumes, nodes }) => Array.from(nodes, (node) => ({ node, uid: pod.metadata.uid, volumes })));
  const byNode = Map.groupBy(placed, ({ node }) => node);
  const limited = stores.csiNodes
    .list()
    .flatMap(({ metadata: { name }, attachableVolumes: limit }) => (limit === undefined ? [] : [{ name, limit }]));
  const attachmentsOf = ({ name, limit }: (typeof limited)[number]): Places => ({
    limit,
    taken: new Set([...attachedTo(stores, name), ...(byNode.get(name) ?? []).flatMap(({ volumes }) => volumes)]),
  });
  return {
    pods: new Map(Array.from(byNode, ([node, pods]) => [node, new Set(pods.map(({ uid }) => uid))])),
    attachments: new Map(limited.map((node) => [node.name, attachmentsOf(node)])),
  };
}

function attachedTo({ volumeAttachments, persistentVolumes }: ClusterStores, node: string): readonly string[] {
  return volumeAttachments.list().flatMap(({ spec }) => {
    const { persistentVolumeName: name } = spec.source;
    if (spec.nodeName !== node || spec.attacher !== CSI_DRIVER || name === undefined) return [];
    // One whose PersistentVolume is being made again counts once as well.
    return [persistentVolumes.get(keyOf({ name }))?.spec?.csi?.volumeHandle ?? name];
  });
}

/** What pods take of the nodes they run on, of which a node has only so much. */
import { CSI_DRIVER } from '../../core/contracts/names.ts';
import type { Attachments } from '../../core/domain/placement.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { ClusterStores } from './stores.ts';
import { hasEnded, volumesOf } from './volume-objects.ts';

/** By node. */
export interface NodeUsage {
  /** Pods that its kubelet counts. */
  readonly podCounts: ReadonlyMap<string, number>;
  /** Of the nodes that limit them; counted as the scheduler's plugin NodeVolumeLimits does. */
  readonly attachments: ReadonlyMap<string, Attachments>;
}

export function nodeUsageOf(stores: ClusterStores): NodeUsage {
  // Those that have ended take no place any more.
  const running = Map.groupBy(
    stores.pods.list().filter((pod) => pod.spec?.nodeName !== undefined && !hasEnded(pod)),
    (pod) => pod.spec?.nodeName ?? '',
  );
  const limited = stores.csiNodes
    .list()
    .flatMap(({ metadata: { name }, attachableVolumes: limit }) => (limit === undefined ? [] : [{ name, limit }]));
  const attachmentsOf = ({ name, limit }: (typeof limited)[number]): Attachments => ({
    limit,
    volumes: new Set([...attachedTo(stores, name), ...(running.get(name) ?? []).flatMap((pod) => volumesOf(stores, pod))]),
  });
  return {
    podCounts: new Map(running.entries().map(([node, pods]) => [node, pods.length])),
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

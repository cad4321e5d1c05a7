/** Who uses a volume, and what still holds it on a node. */
import { keyOf } from '../../system/kube/resources.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { claimOf, persistentVolumeOf, podsOf } from './volume-objects.ts';

/**
 * What still holds the volume on a node, in words. Free is what no pod there uses, what the kubelet has unmounted, and what is attached there no more.
 *
 * HwameiStor's `status.publishedNode` is not asked: its CSI controller clears the field before the VolumeAttachment goes, so an attachment tells all
 * it could, and where that controller does not run nobody ever clears it.
 */
export function heldBy(stores: ClusterStores, volume: string, node: string): readonly string[] {
  const users = usersOf(stores, volume).filter(({ spec }) => spec?.nodeName === node);
  const persistentVolume = persistentVolumeOf(stores, volume);
  const csi = persistentVolume?.spec?.csi;
  // The kubelet's name for a volume of a CSI driver that attaches.
  const uniqueName = csi && `kubernetes.io/csi/${csi.driver}^${csi.volumeHandle}`;
  const inUse = uniqueName !== undefined && stores.nodes.get(keyOf({ name: node }))?.status?.volumesInUse?.includes(uniqueName);
  const attachments = persistentVolume
    ? stores.volumeAttachments
        .list()
        .filter(({ spec }) => spec.nodeName === node && spec.source.persistentVolumeName === persistentVolume.metadata.name)
    : [];
  return [
    ...users.map(({ metadata }) => `pod ${metadata.namespace}/${metadata.name}`),
    ...(inUse ? [`volumesInUse of node ${node}`] : []),
    ...attachments.map(({ metadata }) => `VolumeAttachment ${metadata.name}`),
  ].sort();
}

export function usersOf(stores: ClusterStores, volume: string): readonly PodView[] {
  const claim = claimOf(stores, volume);
  return claim ? podsOf(stores, claim) : [];
}

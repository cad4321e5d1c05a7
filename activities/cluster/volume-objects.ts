/** Which objects belong to a volume: its PersistentVolume, claim, pods and replicas. Read from the stores. */
import { CSI_DRIVER } from '../../core/contracts/names.ts';
import type { LocalVolume, LocalVolumeReplica } from '../../core/contracts/objects/index.ts';
import { keyOf, type PersistentVolume, type PersistentVolumeClaim } from '../../system/kube/resources.ts';
import { evictionMarksIn } from './eviction-marks.ts';
import { hasEnded as isOver, isProtected, leaderOf } from './migration-objects.ts';
import type { ClusterStores, PodView } from './stores.ts';

export interface ClaimName {
  readonly namespace: string;
  readonly name: string;
}

/** A volume's PersistentVolume names it as its CSI handle. undefined: nobody has asked for the volume through a claim, or it is being made again. */
export function persistentVolumeOf({ persistentVolumes }: ClusterStores, volume: string): PersistentVolume | undefined {
  return persistentVolumes.list().find(({ spec }) => spec?.csi?.driver === CSI_DRIVER && spec.csi.volumeHandle === volume);
}

/** By the PersistentVolume; while that is being made again, by what the LocalVolume says. */
export function claimOf(stores: ClusterStores, volume: string): ClaimName | undefined {
  const claimRef = persistentVolumeOf(stores, volume)?.spec?.claimRef;
  if (claimRef?.namespace && claimRef.name) return { namespace: claimRef.namespace, name: claimRef.name };
  const { pvcNamespace, pvcName } = stores.localVolumes.get(volume)?.spec ?? {};
  return pvcNamespace && pvcName ? { namespace: pvcNamespace, name: pvcName } : undefined;
}

/** By the claim's PersistentVolume; while that is being made again, by what a LocalVolume says. undefined: it is none of ours. */
export function localVolumeOf(stores: ClusterStores, { metadata, spec }: PersistentVolumeClaim): string | undefined {
  if (!spec?.volumeName) return undefined;
  const csi = stores.persistentVolumes.get(keyOf({ name: spec.volumeName }))?.spec?.csi;
  if (csi) return csi.driver === CSI_DRIVER ? csi.volumeHandle : undefined;
  const named = stores.localVolumes
    .list()
    .find(({ spec: { pvcNamespace, pvcName } }) => pvcNamespace === metadata.namespace && pvcName === metadata.name);
  return named?.metadata.name;
}

/**
 * The pods that name the claim and have not ended, those on their way out included: while they last, they say best what their successors may.
 * A pod that has ended (Succeeded, Failed) runs nothing; whether its node still has the volume mounted, the node's status says.
 */
export function podsOf(stores: ClusterStores, claim: ClaimName): readonly PodView[] {
  return podsNaming(stores, claim).filter((pod) => !hasEnded(pod));
}

/** Those that have ended included. */
export function podsNaming({ pods }: ClusterStores, claim: ClaimName): readonly PodView[] {
  return pods.list().filter((pod) => pod.metadata.namespace === claim.namespace && claimNames(pod).includes(claim.name));
}

export function hasEnded({ status }: PodView): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

export function claimNames({ metadata, spec }: PodView): readonly string[] {
  return (spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim) return [persistentVolumeClaim.claimName];
    // The claim of a generic ephemeral volume has the name of its pod and volume.
    return ephemeral ? [`${metadata.name}-${name}`] : [];
  });
}

/** Those of ours that the pod uses. */
export function volumesOf(stores: ClusterStores, pod: PodView): readonly string[] {
  const { namespace = '' } = pod.metadata;
  return claimNames(pod).flatMap((name) => {
    const claim = stores.persistentVolumeClaims.get(keyOf({ namespace, name }));
    return (claim && localVolumeOf(stores, claim)) ?? [];
  });
}

/**
 * The other volumes of the pods that use it, or were evicted, of its group, and of those that were asked for with it: who mounts one of them mounts all.
 * One that is deleted, or whose claim is, is mounted by nobody.
 */
export function companionsOf(stores: ClusterStores, volume: string): readonly LocalVolume[] {
  const claim = claimOf(stores, volume);
  const claims = new Set(claim && claimsWith(stores, claim));
  const group = stores.localVolumes.get(volume)?.spec.volumegroup;
  const asked = askedForWith(stores, volume);
  return stores.localVolumes.list().filter(({ metadata, spec }) => {
    if (metadata.name === volume || spec.delete) return false;
    const isClaimed = claim !== undefined && spec.pvcNamespace === claim.namespace && claims.has(spec.pvcName ?? '');
    return isClaimed || (group !== undefined && spec.volumegroup === group) || asked.has(metadata.name);
  });
}

/** Claims of the pods that use it, and of those whose eviction it is marked by: their objects may be gone, and their successors not there yet. */
function claimsWith(stores: ClusterStores, claim: ClaimName): readonly string[] {
  const names = [...podsOf(stores, claim).flatMap(claimNames), ...evictionMarksIn(stores, claim).flatMap(({ claims }) => claims)];
  return names.filter((name) => stores.persistentVolumeClaims.get(keyOf({ namespace: claim.namespace, name })));
}

/** Volumes whose moves were asked for together with its own that runs. One that has ended counts until the last of them has: so long it is protected. */
function askedForWith({ localVolumeMigrates }: ClusterStores, volume: string): ReadonlySet<string> {
  const all = localVolumeMigrates.list();
  const leaders = new Set(all.filter((migrate) => migrate.spec.volumeName === volume && !isOver(migrate)).map(leaderOf));
  const along =
    leaders.size === 0 ? [] : all.filter((migrate) => leaders.has(leaderOf(migrate)) && (!isOver(migrate) || isProtected(migrate)));
  return new Set(along.map(({ spec }) => spec.volumeName));
}

export function replicasOf({ localVolumeReplicas }: ClusterStores, volume: string): readonly LocalVolumeReplica[] {
  return localVolumeReplicas.list().filter(({ spec }) => spec.volumeName === volume);
}

/** The nodes that hold the volume, by its own configuration; by its replicas where nobody has configured it. */
export function replicaNodesOf(stores: ClusterStores, { metadata, spec }: LocalVolume): readonly string[] {
  return spec.config?.replicas.map(({ hostname }) => hostname) ?? replicasOf(stores, metadata.name).map((replica) => replica.spec.nodeName);
}

/** Of a node's agent, where its mirrors listen. undefined: there is no LocalStorageNode. */
export function mirrorEnd({ localStorageNodes }: ClusterStores, node: string) {
  const found = localStorageNodes.get(keyOf({ name: node }));
  return found && { node, storageAddress: found.spec.storageIP };
}

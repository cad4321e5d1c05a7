/**
 * The objects of the cluster as this process last heard of them.
 *
 * Watchers keep the stores true; activities read them instead of asking the API server. What is read here may be a moment old: it decides when to
 * look and what to try. What must not be old (a migration's own state, a pool that is to be reserved from) is read live where it is decided.
 */
import { CSI_DRIVER } from '../../core/contracts/names.ts';
import type { LocalStorageNode, LocalVolume, LocalVolumeMigrate, LocalVolumeReplica } from '../../core/contracts/objects/index.ts';
import type { WatchedLease } from '../../system/kube/lease.ts';
import type { CsiNode, Node, PersistentVolume, PersistentVolumeClaim, Pod, VolumeAttachment } from '../../system/kube/resources.ts';

/** All objects of one kind. A Watcher is one. */
export interface Store<T> {
  /** @param key of `keyOf`: `namespace/name`, or the name alone. */
  get(key: string): T | undefined;
  list(): readonly T[];
}

/** What is read of a pod: pods are many, and most of each is of no interest here. */
export interface PodView {
  readonly metadata: Pick<Pod['metadata'], 'name' | 'namespace' | 'uid' | 'resourceVersion' | 'labels' | 'deletionTimestamp'>;
  readonly spec?: Pick<NonNullable<Pod['spec']>, 'nodeName' | 'nodeSelector' | 'affinity' | 'tolerations' | 'volumes' | 'schedulingGates'>;
  readonly status?: Pick<NonNullable<Pod['status']>, 'phase' | 'reason'>;
}

/** The projection of the watcher that keeps the pods. Of a pod's volumes only those made of claims stay. */
export function viewPod({ metadata, spec, status }: Pod): PodView {
  const { name, namespace, uid, resourceVersion, labels, deletionTimestamp } = metadata;
  const { nodeName, nodeSelector, affinity, tolerations, volumes, schedulingGates } = spec ?? {};
  const claimed = volumes
    ?.filter((volume) => volume.persistentVolumeClaim ?? volume.ephemeral)
    .map(({ name, persistentVolumeClaim, ephemeral }) => ({
      name,
      ...(persistentVolumeClaim && { persistentVolumeClaim }),
      ...(ephemeral && { ephemeral: {} }),
    }));
  return {
    metadata: {
      name,
      uid,
      resourceVersion,
      ...(namespace !== undefined && { namespace }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      ...(labels && { labels }),
    },
    spec: {
      ...(nodeName !== undefined && { nodeName }),
      ...(nodeSelector && { nodeSelector }),
      ...(affinity && { affinity: requiredOf(affinity) }),
      ...(tolerations && { tolerations }),
      ...(claimed && { volumes: claimed }),
      ...(schedulingGates && { schedulingGates }),
    },
    status: {
      ...(status?.phase !== undefined && { phase: status.phase }),
      ...(status?.reason !== undefined && { reason: status.reason }),
    },
  };
}

/** What is read of a CSINode. */
export interface CsiNodeView {
  readonly metadata: Pick<CsiNode['metadata'], 'name' | 'uid' | 'resourceVersion'>;
  /** How many volumes of HwameiStor's driver may be attached there. undefined: the driver sets no limit. */
  readonly attachableVolumes?: number;
}

/** The projection of the watcher that keeps the CSINodes. */
export function viewCsiNode({ metadata: { name, uid, resourceVersion }, spec }: CsiNode): CsiNodeView {
  // A kubelet without drivers writes null.
  const attachableVolumes = spec.drivers?.find((driver) => driver.name === CSI_DRIVER)?.allocatable?.count;
  return { metadata: { name, uid, resourceVersion }, ...(attachableVolumes !== undefined && { attachableVolumes }) };
}

type Affinity = NonNullable<NonNullable<Pod['spec']>['affinity']>;

/** Without what is only preferred of other pods. */
function requiredOf({ nodeAffinity, podAffinity, podAntiAffinity }: Affinity): Affinity {
  const beside = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const apart = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return {
    ...(nodeAffinity && { nodeAffinity }),
    ...(beside && { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: beside } }),
    ...(apart && { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: apart } }),
  };
}

export interface ClusterStores {
  readonly nodes: Store<Node>;
  readonly pods: Store<PodView>;
  readonly persistentVolumes: Store<PersistentVolume>;
  readonly persistentVolumeClaims: Store<PersistentVolumeClaim>;
  readonly volumeAttachments: Store<VolumeAttachment>;
  readonly csiNodes: Store<CsiNodeView>;
  readonly leases: Store<WatchedLease>;
  readonly localVolumes: Store<LocalVolume>;
  readonly localVolumeReplicas: Store<LocalVolumeReplica>;
  readonly localStorageNodes: Store<LocalStorageNode>;
  readonly localVolumeMigrates: Store<LocalVolumeMigrate>;
}

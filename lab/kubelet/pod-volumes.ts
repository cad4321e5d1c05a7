/** What each of a pod's volumes is on its node. */
import { type ApiClient, ApiError } from '../cluster/api-client.ts';
import { PodConfigurationError } from './environment.ts';
import {
  CSI_DRIVER,
  type LocalVolumeReplica,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type Volume,
} from './objects.ts';
import type { Files, PodSources } from './pod-sources.ts';

export interface PersistentVolumeOfPod {
  /** Name of the pod's volume. */
  readonly name: string;
  /** CSI volume handle: the LocalVolume's name. */
  readonly handle: string;
  readonly raw: boolean;
  readonly fileSystem: string;
}

/** A logical volume on this node. */
export interface NodeDevice {
  readonly volumeGroup: string;
  readonly logicalVolume: string;
  /** DRBD keeps it on another node as well: the device is DRBD's, and writable only where this node is made the primary one. */
  readonly replicated: boolean;
}

export type NodeVolume =
  | { readonly kind: 'files'; readonly name: string; readonly files: Files }
  | { readonly kind: 'hostPath'; readonly name: string; readonly path: string; readonly type: string }
  | (PersistentVolumeOfPod & { readonly kind: 'persistent'; readonly device: NodeDevice });

/** The volumes that must be attached before the pod can start. @throws PodConfigurationError while a claim is not bound. */
export async function persistentVolumesOf(client: ApiClient, pod: Pod): Promise<PersistentVolumeOfPod[]> {
  const claims = (pod.spec.volumes ?? []).filter(({ persistentVolumeClaim }) => persistentVolumeClaim);
  return Promise.all(claims.map((volume) => persistentVolumeOf(client, pod, volume)));
}

async function persistentVolumeOf(client: ApiClient, pod: Pod, { name, persistentVolumeClaim }: Volume): Promise<PersistentVolumeOfPod> {
  const claimName = persistentVolumeClaim!.claimName;
  const claim = await permitted(
    client.find<PersistentVolumeClaim>(`/api/v1/namespaces/${pod.metadata.namespace}/persistentvolumeclaims/${claimName}`),
  );
  if (!claim?.spec.volumeName || claim.status?.phase !== 'Bound') throw new PodConfigurationError(`claim ${claimName} is not bound`);
  const volume = await permitted(client.find<PersistentVolume>(`/api/v1/persistentvolumes/${claim.spec.volumeName}`));
  if (volume?.spec.claimRef?.uid !== claim.metadata.uid)
    throw new PodConfigurationError(`claim ${claimName} is not bound to ${claim.spec.volumeName}`);
  const { csi, volumeMode } = volume.spec;
  if (csi?.driver !== CSI_DRIVER) throw new PodConfigurationError(`the lab has no driver for the volume of claim ${claimName}`);
  return { name, handle: csi.volumeHandle, raw: volumeMode === 'Block', fileSystem: csi.fsType ?? 'ext4' };
}

/** The node authorizer learns of a pod's volumes a moment after the node does. */
async function permitted<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ApiError && error.statusCode === 403) return undefined;
    throw error;
  }
}

/**
 * Where a volume is on this node, as HwameiStor's node plugin finds it.
 * @throws PodConfigurationError where no Ready replica is on this node: a device that happens to be there may be an old copy.
 */
export async function deviceOf(client: ApiClient, node: string, handle: string): Promise<NodeDevice> {
  const replicas = await client.get<{ items: LocalVolumeReplica[] }>('/apis/hwameistor.io/v1alpha1/localvolumereplicas');
  const replica = replicas.items.find(({ spec }) => spec.volumeName === handle && spec.nodeName === node);
  if (!replica) throw new PodConfigurationError(`volume ${handle} has no replica on ${node}`);
  if (replica.status?.state !== 'Ready')
    throw new PodConfigurationError(`the replica of volume ${handle} on ${node} is ${replica.status?.state || 'not Ready'}`);
  const { poolName } = replica.spec;
  return { volumeGroup: poolName, logicalVolume: handle, replicated: replica.status.devPath === `/dev/${poolName}-HA/${handle}` };
}

/** Everything the pod's containers may mount. @throws PodConfigurationError */
export async function nodeVolumesOf(
  pod: Pod,
  sources: PodSources,
  persistent: readonly PersistentVolumeOfPod[],
  device: (handle: string) => Promise<NodeDevice>,
): Promise<NodeVolume[]> {
  return Promise.all(
    (pod.spec.volumes ?? []).map(async (volume): Promise<NodeVolume> => {
      const { name, hostPath, emptyDir } = volume;
      const claimed = persistent.find((candidate) => candidate.name === name);
      if (claimed) return { kind: 'persistent', ...claimed, device: await device(claimed.handle) };
      if (hostPath) return { kind: 'hostPath', name, path: hostPath.path, type: hostPath.type ?? '' };
      const files = emptyDir ? new Map() : await sources.files(volume);
      if (!files) throw new PodConfigurationError(`the lab has no volumes of the kind of ${name}`);
      return { kind: 'files', name, files };
    }),
  );
}

/** The objects that describe a volume, as HwameiStor and its CSI driver write them. Pure. */
import { CSI_DRIVER } from '../kubelet/objects.ts';

/** HwameiStor's pool of hard disks; a pool is named as its volume group. */
export const POOL = 'LocalStorage_PoolHDD';
/** HwameiStor's name for the logical volume that a pool's thin volumes share. */
export const THIN_POOL = 'LocalStorage_ThinPool';
const STORAGE_CLASS = 'hwameistor-storage-lvm-hdd';
const API_VERSION = 'hwameistor.io/v1alpha1';

export interface VolumeDescription {
  readonly name: string;
  readonly namespace: string;
  readonly bytes: number;
  readonly fileSystem: 'ext4' | 'xfs' | 'block';
  readonly affinity: 'hostname' | 'topology' | 'none';
  readonly groupName?: string;
  readonly thin: boolean;
  /** One, or two that DRBD keeps the same. The first is the primary one. */
  readonly replicas: readonly Replica[];
  /** Of DRBD; undefined for a volume of one replica. */
  readonly resourceId: number | undefined;
}

export interface Replica {
  /** Of its LocalVolumeReplica. */
  readonly name: string;
  readonly node: { readonly name: string; readonly storageAddress: string };
}

export interface WithStatus {
  readonly object: object;
  readonly status: object;
}

/** The device of a volume that DRBD keeps on two nodes, beside those of the pool. */
export function replicatedDevice(name: string): string {
  return `/dev/${POOL}-HA/${name}`;
}

export function localVolume({ name, namespace, bytes, fileSystem, groupName, thin, replicas, resourceId }: VolumeDescription): WithStatus {
  const convertible = resourceId !== undefined;
  const object = {
    apiVersion: API_VERSION,
    kind: 'LocalVolume',
    metadata: { name },
    spec: {
      requiredCapacityBytes: bytes,
      poolName: POOL,
      replicaNumber: replicas.length,
      convertible,
      ...(thin && { thin }),
      accessibility: { zones: ['default'], regions: ['default'] },
      pvcNamespace: namespace,
      pvcName: name,
      ...(groupName && { volumegroup: groupName }),
      config: {
        version: 1,
        volumeName: name,
        requiredCapacityBytes: bytes,
        convertible,
        resourceID: resourceId ?? -1,
        readyToInitialize: true,
        initialized: true,
        replicas: replicas.map(({ node }, index) => ({
          id: index + 1,
          hostname: node.name,
          ip: node.storageAddress,
          primary: index === 0,
        })),
      },
      delete: false,
    },
  };
  const raw = fileSystem === 'block';
  const status = {
    allocatedCapacityBytes: bytes,
    usedCapacityBytes: 0,
    replicas: replicas.map((replica) => replica.name),
    state: 'Ready',
    publishedNode: '',
    ...(!raw && { fsType: fileSystem }),
    rawblock: raw,
  };
  return { object, status };
}

export function localVolumeReplica({ name, bytes, thin, resourceId }: VolumeDescription, replica: Replica): WithStatus {
  const object = {
    apiVersion: API_VERSION,
    kind: 'LocalVolumeReplica',
    metadata: { name: replica.name },
    spec: {
      volumeName: name,
      poolName: POOL,
      nodeName: replica.node.name,
      requiredCapacityBytes: bytes,
      ...(thin && { thin }),
      delete: false,
    },
  };
  const device = `/dev/${POOL}/${name}`;
  const replicated = resourceId !== undefined;
  const status = {
    storagePath: device,
    devPath: replicated ? replicatedDevice(name) : device,
    ...(replicated && { haState: { state: 'Consistent' } }),
    disks: ['/dev/vda'],
    allocatedCapacityBytes: bytes,
    state: 'Ready',
    synced: true,
    inuse: false,
  };
  return { object, status };
}

/** @param members of the group before this volume. */
export function localVolumeGroup({ name, namespace, groupName }: VolumeDescription, pod: string, members: readonly object[]): object {
  return {
    apiVersion: API_VERSION,
    kind: 'LocalVolumeGroup',
    metadata: { name: groupName, finalizers: ['hwameistor.io/localvolumegroup-protection'] },
    spec: { namespace, pods: [pod], volumes: [...members, { localvolume: name, pvc: name }] },
  };
}

export function persistentVolume({ name, namespace, bytes, fileSystem, affinity, replicas, resourceId }: VolumeDescription): object {
  const key = affinity === 'topology' ? 'topology.lvm.hwameistor.io/node' : 'kubernetes.io/hostname';
  const required = { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: 'In', values: replicas.map(({ node }) => node.name) }] }] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      annotations: { 'pv.kubernetes.io/provisioned-by': CSI_DRIVER },
      finalizers: ['external-provisioner.volume.kubernetes.io/finalizer'],
    },
    spec: {
      capacity: { storage: String(bytes) },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Delete',
      storageClassName: STORAGE_CLASS,
      volumeMode: fileSystem === 'block' ? 'Block' : 'Filesystem',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name },
      csi: {
        driver: CSI_DRIVER,
        volumeHandle: name,
        ...(fileSystem !== 'block' && { fsType: fileSystem }),
        volumeAttributes: {
          poolClass: 'HDD',
          poolType: 'REGULAR',
          volumeKind: 'LVM',
          replicaNumber: String(replicas.length),
          convertible: String(resourceId !== undefined),
        },
      },
      ...(affinity !== 'none' && { nodeAffinity: { required } }),
    },
  };
}

export function persistentVolumeClaim({ name, namespace, bytes, fileSystem }: VolumeDescription): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: STORAGE_CLASS,
      volumeMode: fileSystem === 'block' ? 'Block' : 'Filesystem',
      volumeName: name,
      resources: { requests: { storage: String(bytes) } },
    },
  };
}

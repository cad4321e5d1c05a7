/** The objects that describe a volume, as HwameiStor and its CSI driver write them. Pure. */
import { CSI_DRIVER } from '../kubelet/objects.ts';

/** HwameiStor's pool of hard disks; a pool is named as its volume group. */
export const POOL = 'LocalStorage_PoolHDD';
const STORAGE_CLASS = 'hwameistor-storage-lvm-hdd';
const API_VERSION = 'hwameistor.io/v1alpha1';

export interface VolumeDescription {
  readonly name: string;
  readonly namespace: string;
  readonly bytes: number;
  readonly fileSystem: 'ext4' | 'xfs' | 'block';
  readonly affinity: 'hostname' | 'topology' | 'none';
  readonly groupName?: string;
  readonly node: { readonly name: string; readonly storageAddress: string };
  readonly replicaName: string;
}

export interface WithStatus {
  readonly object: object;
  readonly status: object;
}

export function localVolume({ name, namespace, bytes, fileSystem, groupName, node, replicaName }: VolumeDescription): WithStatus {
  const object = {
    apiVersion: API_VERSION,
    kind: 'LocalVolume',
    metadata: { name },
    spec: {
      requiredCapacityBytes: bytes,
      poolName: POOL,
      replicaNumber: 1,
      convertible: false,
      accessibility: { zones: ['default'], regions: ['default'] },
      pvcNamespace: namespace,
      pvcName: name,
      ...(groupName && { volumegroup: groupName }),
      config: {
        version: 1,
        volumeName: name,
        requiredCapacityBytes: bytes,
        convertible: false,
        resourceID: -1,
        readyToInitialize: true,
        initialized: true,
        replicas: [{ id: 1, hostname: node.name, ip: node.storageAddress, primary: true }],
      },
      delete: false,
    },
  };
  const raw = fileSystem === 'block';
  const status = {
    allocatedCapacityBytes: bytes,
    usedCapacityBytes: 0,
    replicas: [replicaName],
    state: 'Ready',
    publishedNode: '',
    ...(!raw && { fsType: fileSystem }),
    rawblock: raw,
  };
  return { object, status };
}

export function localVolumeReplica({ name, bytes, node, replicaName }: VolumeDescription): WithStatus {
  const object = {
    apiVersion: API_VERSION,
    kind: 'LocalVolumeReplica',
    metadata: { name: replicaName },
    spec: { volumeName: name, poolName: POOL, nodeName: node.name, requiredCapacityBytes: bytes, delete: false },
  };
  const device = `/dev/${POOL}/${name}`;
  const status = {
    storagePath: device,
    devPath: device,
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

export function persistentVolume({ name, namespace, bytes, fileSystem, affinity, node }: VolumeDescription): object {
  const key = affinity === 'topology' ? 'topology.lvm.hwameistor.io/node' : 'kubernetes.io/hostname';
  const required = { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: 'In', values: [node.name] }] }] };
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
        volumeAttributes: { poolClass: 'HDD', poolType: 'REGULAR', volumeKind: 'LVM', replicaNumber: '1', convertible: 'false' },
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

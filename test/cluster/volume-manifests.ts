/** A volume as HwameiStor's CSI driver would leave it: what its LocalVolume, PersistentVolume and claim say. */
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { CSI_DRIVER, TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import type { LocalVolume } from '../../core/contracts/objects/index.ts';
import type { NewObject } from '../../system/kube/client.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../../system/kube/resources.ts';

export const MiB = 2 ** 20;
export const POOL = 'LocalStorage_PoolHDD';
const ACCESS_MODES = ['ReadWriteOnce'];

export interface VolumeOptions {
  readonly sizeBytes?: number;
  /** Without: a LocalVolume that nobody claims. Default true. */
  readonly claimed?: boolean;
  /** Whether the PersistentVolume names its node. Default true. */
  readonly nodeAffinity?: boolean;
  readonly accessibleNodes?: readonly string[];
  readonly publishedNode?: string;
  /** Its LocalVolumeGroup. */
  readonly group?: string;
}

export function localVolumeSpec(
  name: string,
  { node, storageAddress }: MirrorEnd,
  requiredCapacityBytes: number,
  { claimed = true, accessibleNodes, group }: VolumeOptions,
): LocalVolume['spec'] {
  return {
    requiredCapacityBytes,
    poolName: POOL,
    replicaNumber: 1,
    convertible: false,
    delete: false,
    ...(claimed && { pvcNamespace: 'default', pvcName: name }),
    ...(group !== undefined && { volumegroup: group }),
    ...(accessibleNodes && { accessibility: { nodes: [...accessibleNodes], zones: ['default'], regions: ['default'] } }),
    config: {
      version: 1,
      volumeName: name,
      requiredCapacityBytes,
      convertible: false,
      resourceID: -1,
      readyToInitialize: true,
      initialized: true,
      replicas: [{ id: 1, hostname: node, ip: storageAddress, primary: true }],
    },
  };
}

export function claimManifest(name: string, sizeBytes: number): NewObject<PersistentVolumeClaim> {
  return {
    metadata: { namespace: 'default', name },
    spec: {
      accessModes: ACCESS_MODES,
      resources: { requests: { storage: String(sizeBytes) } },
      storageClassName: '',
      volumeName: name,
    },
  };
}

/** @param node that its affinity names; undefined: it has none. */
export function persistentVolumeManifest(name: string, sizeBytes: number, node: string | undefined): NewObject<PersistentVolume> {
  const terms = node === undefined ? undefined : [{ matchExpressions: [{ key: TOPOLOGY_KEY, operator: 'In', values: [node] }] }];
  return {
    metadata: { name },
    spec: {
      accessModes: ACCESS_MODES,
      capacity: { storage: String(sizeBytes) },
      csi: { driver: CSI_DRIVER, volumeHandle: name },
      persistentVolumeReclaimPolicy: 'Delete',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: 'default', name },
      ...(terms && { nodeAffinity: { required: { nodeSelectorTerms: terms } } }),
    },
  };
}

/** What `kubectl get` shows: HwameiStor's columns, in its order. Our additions are wide (`-o wide`), so that scripts see what they know. */
import type { Kind } from '../core/contracts/objects/index.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  /** 1: with `-o wide` only. */
  readonly priority?: 1;
}

const age: PrinterColumn = { name: 'age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

const freeCapacity = (poolClass: string): PrinterColumn => ({
  name: `Pool${poolClass} FreeCap`,
  type: 'integer',
  jsonPath: `.status.pools.LocalStorage_Pool${poolClass}.freeCapacityBytes`,
  description: `Free bytes of the ${poolClass} pool`,
  priority: 1,
});

export const PRINTER_COLUMNS: Readonly<Record<Kind, readonly PrinterColumn[]>> = {
  LocalStorageNode: [
    { name: 'ip', type: 'string', jsonPath: '.spec.storageIP', description: 'Address in the storage network' },
    { name: 'status', type: 'string', jsonPath: '.status.state', description: 'Ready, Maintain or Offline' },
    freeCapacity('HDD'),
    freeCapacity('SSD'),
    freeCapacity('NVMe'),
    {
      name: 'evacuated',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Evacuated")].status',
      description: 'True: the node may be switched off',
      priority: 1,
    },
    age,
  ],
  LocalVolume: [
    { name: 'pool', type: 'string', jsonPath: '.spec.poolName', description: 'Storage pool' },
    { name: 'replicas', type: 'integer', jsonPath: '.spec.replicaNumber', description: 'Number of replicas' },
    { name: 'capacity', type: 'integer', jsonPath: '.spec.requiredCapacityBytes', description: 'Required bytes' },
    { name: 'used', type: 'integer', jsonPath: '.status.usedCapacityBytes', description: 'Used bytes of the file system' },
    { name: 'state', type: 'string', jsonPath: '.status.state', description: 'State of the volume' },
    { name: 'resource', type: 'integer', jsonPath: '.spec.config.resourceID', description: 'DRBD resource; -1: none', priority: 1 },
    { name: 'published', type: 'string', jsonPath: '.status.publishedNode', description: 'Node that uses the volume' },
    { name: 'fstype', type: 'string', jsonPath: '.status.fsType', description: 'File system', priority: 1 },
    { name: 'group', type: 'string', jsonPath: '.spec.volumegroup', description: 'LocalVolumeGroup', priority: 1 },
    age,
  ],
  LocalVolumeReplica: [
    { name: 'capacity', type: 'integer', jsonPath: '.spec.requiredCapacityBytes', description: 'Required bytes' },
    { name: 'node', type: 'string', jsonPath: '.spec.nodeName', description: 'Node the replica lies on' },
    { name: 'state', type: 'string', jsonPath: '.status.state', description: 'State of the replica' },
    { name: 'synced', type: 'boolean', jsonPath: '.status.synced', description: 'Whether its data is complete' },
    { name: 'device', type: 'string', jsonPath: '.status.devPath', description: 'Device that a pod is given' },
    age,
  ],
  LocalVolumeGroup: [
    { name: 'pod', type: 'string', jsonPath: '.spec.pods', description: 'Pods that use the volumes' },
    { name: 'namespace', type: 'string', jsonPath: '.spec.namespace', description: 'Namespace of the pods' },
    age,
  ],
  LocalVolumeMigrate: [
    { name: 'volume', type: 'string', jsonPath: '.spec.volumeName', description: 'Volume that moves' },
    { name: 'from', type: 'string', jsonPath: '.spec.sourceNode', description: 'Node it leaves' },
    { name: 'to', type: 'string', jsonPath: '.status.targetNode', description: 'Node it goes to' },
    { name: 'state', type: 'string', jsonPath: '.status.state', description: "HwameiStor's word for the phase" },
    { name: 'phase', type: 'string', jsonPath: '.status.phase', description: 'Where the migration is', priority: 1 },
    { name: 'percent', type: 'integer', jsonPath: '.status.progress.percent', description: 'Progress of sync or verify', priority: 1 },
    { name: 'message', type: 'string', jsonPath: '.status.message', description: 'What happens, or why it waits', priority: 1 },
    age,
  ],
};

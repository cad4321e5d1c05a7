/** LocalVolumeReplica (lvr), named `<volume>-<6 characters>`: a copy of a volume on one node. That node's agent writes the status. */
import { z } from 'zod';
import {
  bytesSchema,
  capacityBytesSchema,
  conditionsSchema,
  nodeNameSchema,
  objectSchema,
  volumeEncryptSchema,
  volumeGroupNameSchema,
  volumeNameSchema,
  volumeQosSchema,
} from './meta.ts';

export const REPLICA_STATES = ['', 'Invalid', 'Creating', 'NotReady', 'Ready', 'ToBeDeleted', 'Deleted'] as const;
export type ReplicaState = (typeof REPLICA_STATES)[number];

export const HA_STATES = ['Consistent', 'Inconsistent', 'Up', 'Down'] as const;
export type HaState = (typeof HA_STATES)[number];

export const localVolumeReplicaSchema = objectSchema(
  'LocalVolumeReplica',
  z.object({
    volumeName: volumeNameSchema,
    poolName: volumeGroupNameSchema,
    nodeName: nodeNameSchema,
    requiredCapacityBytes: capacityBytesSchema,
    volumeQoS: volumeQosSchema.exactOptional(),
    volumeEncrypt: volumeEncryptSchema.exactOptional(),
    thin: z.boolean().exactOptional(),
    thinOriginVolume: z.string().exactOptional(),
    delete: z.boolean().default(false),
  }),
  z.object({
    storagePath: z.string().exactOptional().describe("The logical volume's device."),
    devPath: z.string().exactOptional().describe('The device that a pod is given.'),
    disks: z.array(z.string()).exactOptional().describe('Physical volumes the data lies on.'),
    allocatedCapacityBytes: bytesSchema.exactOptional(),
    state: z.enum(REPLICA_STATES).exactOptional(),
    synced: z.boolean().default(false),
    haState: z.object({ state: z.enum(HA_STATES), reason: z.string().exactOptional() }).exactOptional(),
    inuse: z.boolean().default(false),
    conditions: conditionsSchema.exactOptional(),
  }),
);
export type LocalVolumeReplica = z.infer<typeof localVolumeReplicaSchema>;
export type LocalVolumeReplicaStatus = NonNullable<LocalVolumeReplica['status']>;

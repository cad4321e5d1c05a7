/** LocalVolume (lv): a volume and where its replicas are. */
import { z } from 'zod';
import {
  accessibilitySchema,
  bytesSchema,
  capacityBytesSchema,
  nodeNameSchema,
  objectSchema,
  validatedBy,
  volumeEncryptSchema,
  volumeGroupNameSchema,
  volumeNameSchema,
  volumeQosSchema,
} from './meta.ts';

export const VOLUME_STATES = ['', 'Creating', 'NotReady', 'Ready', 'ToBeDeleted', 'Deleted'] as const;
export type VolumeState = (typeof VOLUME_STATES)[number];

export const volumeConfigReplicaSchema = z.object({
  id: z.int(),
  hostname: nodeNameSchema,
  ip: z.string(),
  primary: z.boolean(),
});

/** Which nodes hold the volume: what HwameiStor's agents act on, and what its scheduler admits pods by. */
export const volumeConfigSchema = z.object({
  version: z.int().nonnegative().describe('Rises with every change.'),
  volumeName: volumeNameSchema,
  requiredCapacityBytes: capacityBytesSchema,
  convertible: z.boolean().describe('DRBD carries the volume, even with one replica.'),
  resourceID: z.int().min(-1).describe('-1: none.'),
  readyToInitialize: z.boolean(),
  initialized: z.boolean(),
  replicas: z.array(volumeConfigReplicaSchema),
});
export type VolumeConfig = z.infer<typeof volumeConfigSchema>;

export const localVolumeSchema = objectSchema(
  'LocalVolume',
  z.object({
    requiredCapacityBytes: capacityBytesSchema,
    volumeQoS: volumeQosSchema.exactOptional(),
    volumeEncrypt: volumeEncryptSchema.exactOptional(),
    poolName: volumeGroupNameSchema,
    replicaNumber: z.int().min(1).max(4),
    convertible: z.boolean().default(false),
    accessibility: accessibilitySchema.exactOptional(),
    pvcNamespace: z.string().exactOptional(),
    pvcName: z.string().exactOptional(),
    volumegroup: z.string().exactOptional(),
    config: volumeConfigSchema.exactOptional(),
    thin: z.boolean().exactOptional(),
    thinOrigin: z
      .object({ originType: z.enum(['volume', 'snapshot']).exactOptional(), originId: z.string().exactOptional() })
      .exactOptional(),
    delete: z.boolean().default(false),
  }),
  z.object({
    allocatedCapacityBytes: bytesSchema.exactOptional(),
    usedCapacityBytes: bytesSchema.exactOptional(),
    totalInode: z.int().nonnegative().exactOptional(),
    usedInode: z.int().nonnegative().exactOptional(),
    replicas: z.array(z.string()).exactOptional().describe('Names of LocalVolumeReplicas.'),
    state: z.enum(VOLUME_STATES).exactOptional(),
    publishedNode: z.string().exactOptional().describe('The node that uses the volume; empty: none.'),
    fsType: z.string().exactOptional(),
    rawblock: z.boolean().default(false),
  }),
).meta(
  validatedBy({
    rule: "self.metadata.name.size() <= 127 && !self.metadata.name.startsWith('snapshot') && !self.metadata.name.startsWith('pvmove')",
    message: 'the name is not one that LVM takes: at most 127 characters, not beginning with snapshot or pvmove',
  }),
);
export type LocalVolume = z.infer<typeof localVolumeSchema>;
export type LocalVolumeStatus = NonNullable<LocalVolume['status']>;

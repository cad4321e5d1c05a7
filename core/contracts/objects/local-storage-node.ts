/** LocalStorageNode (lsn): a node with its pools. Its agent writes spec and status, the controller the state Offline and the condition Evacuated. */
import { z } from 'zod';
import { bytesSchema, conditionSchema, conditionsSchema, ipv4Schema, nodeNameSchema, objectSchema, volumeGroupNameSchema } from './meta.ts';

export const POOL_CLASSES = ['HDD', 'SSD', 'NVMe'] as const;
export type PoolClass = (typeof POOL_CLASSES)[number];

export const STORAGE_NODE_STATES = ['', 'Ready', 'Maintain', 'Offline'] as const;
export type StorageNodeState = (typeof STORAGE_NODE_STATES)[number];

/** True when nothing but kept volumes is left on the node and nothing is under way; reasons: EVACUATED_REASONS. */
export const EVACUATED_CONDITION = 'Evacuated';

const countSchema = z.int().nonnegative();

/** HwameiStor has these as text with two decimals. */
const decimalSchema = z.string().regex(/^[0-9]+(\.[0-9]+)?$/);

export const thinPoolSchema = z.object({
  name: volumeGroupNameSchema,
  size: bytesSchema,
  metadataSize: bytesSchema,
  metadataPercent: decimalSchema,
  dataPercent: decimalSchema,
  totalProvisionedSize: bytesSchema,
  currentProvisionRatio: decimalSchema,
  overProvisionRatio: decimalSchema.exactOptional(),
  chunkSize: bytesSchema.exactOptional().describe("The unit in which it gives space; Rehome's."),
  thinVolumes: z.array(z.string()).exactOptional(),
  state: conditionSchema.exactOptional(),
});
export type ThinPool = z.infer<typeof thinPoolSchema>;

/** HwameiStor's record of a ThinPoolClaim that made or extended a thin pool. */
const thinPoolExtendRecordSchema = z.looseObject({
  description: z.looseObject({ overProvisionRatio: decimalSchema.exactOptional() }).exactOptional(),
});

export const poolDiskSchema = z.object({
  devPath: z.string(),
  type: z.enum(POOL_CLASSES).exactOptional(),
  capacityBytes: bytesSchema,
  state: z.enum(['Available', 'InUse', 'Offline']),
});
export type PoolDisk = z.infer<typeof poolDiskSchema>;

export const poolSchema = z.object({
  name: volumeGroupNameSchema,
  class: z.enum(POOL_CLASSES),
  type: z.enum(['REGULAR']).default('REGULAR'),
  path: z.string().exactOptional().describe('Directory of its devices.'),
  totalCapacityBytes: bytesSchema,
  usedCapacityBytes: bytesSchema,
  freeCapacityBytes: bytesSchema.describe('What the volume group has left. Reservations are not subtracted.'),
  volumeCapacityBytesLimit: bytesSchema.describe('The largest volume the pool takes.'),
  totalVolumeCount: countSchema,
  usedVolumeCount: countSchema,
  freeVolumeCount: countSchema,
  disks: z.array(poolDiskSchema).exactOptional(),
  volumes: z.array(z.string()).exactOptional().describe('Volumes that lie here. Empty on every pool: nothing is left on the node.'),
  arriving: z
    .array(z.object({ volume: z.string(), bytes: bytesSchema, thinBytes: bytesSchema.exactOptional() }))
    .exactOptional()
    .describe(
      'What stands here already of volumes on their way, metadata included: used bytes of the pool and, for a thin volume, of its thin pool; part of their reservations.',
    ),
  thinPool: thinPoolSchema.exactOptional(),
  otherThinPools: z.array(thinPoolSchema).exactOptional().describe("Thin pools that do not bear HwameiStor's name; Rehome's."),
});
export type Pool = z.infer<typeof poolSchema>;

export const localStorageNodeSchema = objectSchema(
  'LocalStorageNode',
  z.object({
    hostname: nodeNameSchema,
    storageIP: ipv4Schema.describe('Address in the storage network.'),
    // HwameiStor's spelling.
    topogoly: z.object({ zone: z.string().default('default'), region: z.string().default('default') }).exactOptional(),
  }),
  z.object({
    state: z.enum(STORAGE_NODE_STATES).exactOptional(),
    pools: z.record(z.string(), poolSchema).exactOptional().describe('By name.'),
    conditions: conditionsSchema.exactOptional(),
    poolExtendRecords: z.record(z.string(), z.unknown()).exactOptional().describe("HwameiStor's; kept, not written."),
    thinPoolExtendRecords: z
      .record(z.string(), z.array(thinPoolExtendRecordSchema))
      .exactOptional()
      .describe("HwameiStor's, by pool; kept, not written."),
  }),
);
export type LocalStorageNode = z.infer<typeof localStorageNodeSchema>;
export type LocalStorageNodeStatus = NonNullable<LocalStorageNode['status']>;

/**
 * Value of the annotation `rehome.io/reserve-<volume>` on the target's LocalStorageNode, as JSON: room for a volume on its way there. How it is
 * counted: `core/domain/reserved-space.ts`.
 */
export const reservationSchema = z.strictObject({
  pool: volumeGroupNameSchema,
  /** Of the volume group: the volume and its metadata volume; for a thin volume the latter alone. */
  bytes: z.int().positive(),
  /** Of a thin pool in it. */
  thin: z
    .strictObject({
      pool: volumeGroupNameSchema,
      bytes: bytesSchema,
      /** The volume's own size, which the pool may come to owe. */
      promisedBytes: bytesSchema,
    })
    .exactOptional(),
  /** uid of the migration. */
  id: z.string().min(1),
  /** Where its name is too long to stand in the key. */
  volume: z.string().exactOptional(),
});
export type Reservation = z.infer<typeof reservationSchema>;

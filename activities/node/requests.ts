/**
 * What arrives from Temporal is parsed before any of it becomes part of a command, a path or a tag. Strict patterns: Kubernetes' for what is named as
 * an object of its, lvm(8) for volume groups, and a uuid where Kubernetes gives one. None begins with a hyphen, or is `.` or `..`.
 */
import { z } from 'zod';
import type { Mirror, MirrorEndpoint, ThinVolume } from '../../core/contracts/migration.ts';
import type { SectorRange } from '../../core/contracts/node-activities.ts';
import {
  ipv4Schema,
  nodeNameSchema,
  objectNameSchema,
  volumeGroupNameSchema,
  volumeNameSchema,
} from '../../core/contracts/objects/meta.ts';

const portSchema = z.int().min(1).max(65_535);
const minorSchema = z
  .int()
  .min(0)
  .max(2 ** 20 - 1);
/** A LocalVolume's name, and so without the underscores of what stands beside a mirrored volume (mirror-names.ts). */
const localVolumeNameSchema = volumeNameSchema.pipe(objectNameSchema);
/** Leaves room for the suffixes of names made from it, within LVM's and the device mapper's 127 characters. */
const mirroredVolumeNameSchema = volumeNameSchema.max(100).pipe(objectNameSchema);

const mirrorEndSchema = z.object({ node: nodeNameSchema, storageAddress: ipv4Schema });

const mirrorSchema = z.object({
  migration: z.object({ name: objectNameSchema, uid: z.uuid(), volume: mirroredVolumeNameSchema }),
  pool: volumeGroupNameSchema,
  sizeBytes: z.int().positive(),
  source: mirrorEndSchema,
  target: mirrorEndSchema,
  pairing: z.int().nonnegative(),
}) satisfies z.ZodType<Mirror>;

const thinVolumeSchema = z.object({
  pool: volumeGroupNameSchema,
  allocatedBytes: z.int().nonnegative(),
  chunkBytes: z.int().positive(),
}) satisfies z.ZodType<ThinVolume>;

const endpointSchema = z.object({
  port: portSchema,
  minor: minorSchema,
  logicalBlockSizeBytes: z.int().positive(),
  thin: thinVolumeSchema.exactOptional(),
}) satisfies z.ZodType<MirrorEndpoint>;
const roleSchema = z.enum(['source', 'target']);
const sectorRangeSchema = z.object({ startSector: z.int().nonnegative(), sectors: z.int().positive() }) satisfies z.ZodType<SectorRange>;

export const requestSchemas = {
  volume: z.object({ volume: localVolumeNameSchema, pool: volumeGroupNameSchema }),
  mirror: z.object({ mirror: mirrorSchema }),
  restore: z.object({ mirror: mirrorSchema, deleted: z.literal(true).optional() }),
  mirrorAndRole: z.object({ mirror: mirrorSchema, role: roleSchema }),
  targetMirror: z.object({ mirror: mirrorSchema, sourceEndpoint: endpointSchema, inUse: z.boolean().default(false) }),
  sourceMirror: z.object({ mirror: mirrorSchema, targetEndpoint: endpointSchema }),
  targetCounter: z.object({ mirror: mirrorSchema, logPosition: z.int().nonnegative().optional() }),
  verify: z.object({ mirror: mirrorSchema, ranges: z.array(sectorRangeSchema).min(1).optional() }),
};

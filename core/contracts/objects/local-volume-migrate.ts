/**
 * LocalVolumeMigrate (lvmigrate): one migration, wanted (spec) and as far as it got (status).
 *
 * The status is the durable record that a new run, another controller and the agents act on: what is written here outlives Temporal's database.
 * HwameiStor's fields are `originalReplicaNumber`, `targetNode`, `volumes`, `state` and `message`; the others are ours.
 */
import { z } from 'zod';
import { MIGRATE_STATES, PHASES, type Phase } from '../phases.ts';
import {
  bytesSchema,
  IMMUTABLE,
  immutableLocalVolumeNameSchema,
  ipv4Schema,
  nodeNameSchema,
  objectSchema,
  timestampSchema,
  type ValidationRule,
  validatedBy,
  volumeGroupNameSchema,
} from './meta.ts';

const PARKING_PHASES = PHASES.filter((phase): phase is Exclude<Phase, 'NeedsAttention'> => phase !== 'NeedsAttention');

/** The API server wants a bound on what it compares with each other. */
const MAXIMUM_SUGGESTIONS = 100;

export const mirrorEndSchema = z.object({ node: nodeNameSchema, storageAddress: ipv4Schema });

export const progressSchema = z.object({
  percent: z.int().min(0).max(100),
  syncedBytes: bytesSchema,
  totalBytes: bytesSchema,
  bytesPerSecond: bytesSchema,
  etaSeconds: z.int().nonnegative().exactOptional().describe('Missing: not known yet.'),
  waitsFor: z.string().exactOptional().describe('Why nothing is under way yet.'),
});
export type Progress = z.infer<typeof progressSchema>;

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);

const statusSchema = z.object({
  originalReplicaNumber: z.int().nonnegative().exactOptional(),
  targetNode: z.string().exactOptional(),
  volumes: z.array(z.string()).exactOptional(),
  state: z.enum(MIGRATE_STATES).exactOptional(),
  message: z.string().exactOptional().describe('What happens, or why it waits.'),

  phase: z.enum(PHASES).exactOptional(),
  parkedIn: z.enum(PARKING_PHASES).exactOptional().describe('The phase that NeedsAttention interrupted.'),
  reportedAt: z.int().nonnegative().exactOptional().describe("When the last report was ordered, in milliseconds of Temporal's clock."),
  reason: z.string().exactOptional().describe('Stable word for why it waits or is parked.'),
  pool: volumeGroupNameSchema.exactOptional(),
  sizeBytes: bytesSchema.exactOptional(),
  source: mirrorEndSchema.exactOptional(),
  target: mirrorEndSchema.exactOptional(),
  pairing: z.int().nonnegative().exactOptional().describe('Rises whenever the mirror begins anew.'),
  pointOfNoReturn: z.boolean().exactOptional().describe('From here the migration only goes forward.'),
  proven: z.boolean().exactOptional().describe('A whole verify of this mirror has found no difference.'),
  abortedByPerson: z.boolean().exactOptional(),
  progress: progressSchema.exactOptional(),
  phaseTimes: z.partialRecord(z.enum(PHASES), timestampSchema).exactOptional().describe('First entry into each phase.'),
  endTime: timestampSchema.exactOptional(),
  sourceSha256: sha256Schema.exactOptional(),
  targetSha256: sha256Schema.exactOptional(),
  persistentVolume: z
    .looseObject({ uid: z.string().min(1) })
    .exactOptional()
    .describe('The PersistentVolume from before its rebind, to make it again after a crash.'),
  workflowId: z.string().exactOptional(),
  follows: z.string().exactOptional().describe('The LocalVolumeMigrate of the same volume that runs instead of this one.'),
});

const TARGET_IS_SOURCE: ValidationRule = {
  rule: '!(self.sourceNode in self.targetNodesSuggested)',
  message: 'targetNodesSuggested names the sourceNode, which the volume is to leave',
};
const NOT_TAKEN_BACK: ValidationRule = { rule: 'self || !oldSelf', message: 'an abort is not taken back: make another LocalVolumeMigrate' };

const specSchema = z
  .object({
    volumeName: immutableLocalVolumeNameSchema,
    sourceNode: nodeNameSchema.meta(validatedBy(IMMUTABLE)),
    targetNodesSuggested: z
      .array(nodeNameSchema)
      .max(MAXIMUM_SUGGESTIONS)
      .default([])
      .describe('The first of them that can take the volume is its target, and no other node; empty: any.'),
    migrateAllVols: z
      .boolean()
      .default(true)
      .meta(validatedBy(IMMUTABLE))
      .describe('Also the other volumes on the source that move only together with it; each gets a LocalVolumeMigrate of its own.'),
    abort: z.boolean().default(false).meta(validatedBy(NOT_TAKEN_BACK)),
  })
  .refine(({ sourceNode, targetNodesSuggested }) => !targetNodesSuggested.includes(sourceNode), TARGET_IS_SOURCE.message)
  .meta(validatedBy(TARGET_IS_SOURCE));

export const localVolumeMigrateSchema = objectSchema(
  'LocalVolumeMigrate',
  specSchema,
  statusSchema.meta(
    validatedBy({
      rule: '!(has(oldSelf.pointOfNoReturn) && oldSelf.pointOfNoReturn) || (has(self.pointOfNoReturn) && self.pointOfNoReturn)',
      message: 'the point of no return is never taken back',
    }),
  ),
);
export type LocalVolumeMigrate = z.infer<typeof localVolumeMigrateSchema>;
export type LocalVolumeMigrateStatus = NonNullable<LocalVolumeMigrate['status']>;

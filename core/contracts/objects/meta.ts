/** What all five kinds share: metadata, conditions, names that LVM accepts, and how a schema of a whole object is put together. */
import { z } from 'zod';
import { API_GROUP, API_VERSION } from '../names.ts';

/** Of Kubernetes' ObjectMeta what we read. */
export const objectMetaSchema = z.object({
  name: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.int().exactOptional(),
  creationTimestamp: z.string(),
  deletionTimestamp: z.string().exactOptional(),
  labels: z.record(z.string(), z.string()).exactOptional(),
  annotations: z.record(z.string(), z.string()).exactOptional(),
  finalizers: z.array(z.string()).exactOptional(),
});
export type ObjectMeta = z.infer<typeof objectMetaSchema>;

export const timestampSchema = z.iso.datetime({ offset: true }).describe('RFC 3339.');

/** As metav1.Condition, with HwameiStor's lastUpdateTime and, as there, nothing but type and status required. */
export const conditionSchema = z.object({
  type: z.string().min(1),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().exactOptional(),
  message: z.string().exactOptional(),
  lastTransitionTime: timestampSchema.exactOptional(),
  lastUpdateTime: timestampSchema.exactOptional(),
  observedGeneration: z.int().exactOptional(),
});
export type Condition = z.infer<typeof conditionSchema>;

export const conditionsSchema = z.array(conditionSchema).meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });

/** A rule of the API server, in CEL, for what JSON Schema cannot say: `self` is the value, `oldSelf` what it was before an update. */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
}
export const validatedBy = (...rules: ValidationRule[]) => ({ 'x-kubernetes-validations': rules });

export const IMMUTABLE: ValidationRule = { rule: 'self == oldSelf', message: 'cannot be changed' };

/** lvm(8), "Valid names": letters, digits and + _ . -, no leading hyphen, at most 127 characters. No leading point either: `.` and `..` are paths. */
const LVM_NAME = /^[A-Za-z0-9+_][A-Za-z0-9+_.-]*$/;

export const volumeGroupNameSchema = z.string().max(127).regex(LVM_NAME);

const NOT_RESERVED: ValidationRule = {
  rule: "!self.startsWith('snapshot') && !self.startsWith('pvmove')",
  message: 'LVM reserves names that begin with snapshot or pvmove',
};

/** A LocalVolume's name is its logical volume's, so LVM's reserved prefixes are refused here, where somebody reads the message. */
const volumeNameOf = (pattern: RegExp) =>
  z
    .string()
    .max(127)
    .regex(pattern)
    .refine((name) => !/^(snapshot|pvmove)/.test(name), NOT_RESERVED.message)
    .meta(validatedBy(NOT_RESERVED));
export const volumeNameSchema = volumeNameOf(LVM_NAME);

/** RFC 1123, as Kubernetes has it for the names of objects. */
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
export const objectNameSchema = z.string().max(253).regex(OBJECT_NAME);
/** What a LocalVolume can be named: it is an object too. */
export const immutableLocalVolumeNameSchema = volumeNameOf(OBJECT_NAME).meta(validatedBy(NOT_RESERVED, IMMUTABLE));
export const nodeNameSchema = objectNameSchema;
export const ipv4Schema = z.ipv4();

export const bytesSchema = z.int().nonnegative();
/** The smallest volume HwameiStor knows: one LVM extent of 4 MiB. */
export const capacityBytesSchema = z.int().min(4_194_304);

/** Where the replicas of a volume or of a group may lie. Empty or missing: anywhere. */
export const accessibilitySchema = z.object({
  nodes: z.array(z.string()).exactOptional(),
  zones: z.array(z.string()).default(['default']),
  regions: z.array(z.string()).default(['default']),
});

export const volumeQosSchema = z.object({ throughput: z.string().exactOptional(), iops: z.string().exactOptional() });

export const volumeEncryptSchema = z.object({
  enable: z.boolean().exactOptional(),
  type: z.enum(['LUKS']).default('LUKS'),
  secret: z.string().exactOptional().describe('namespace/name of the Secret.'),
});

/** An object as the API server returns it: its defaults are applied, its status may be missing until somebody writes it. */
export function objectSchema<Kind extends string, Spec extends z.ZodType, Status extends z.ZodType>(
  kind: Kind,
  spec: Spec,
  status: Status,
) {
  return z.object({
    apiVersion: z.literal(`${API_GROUP}/${API_VERSION}`),
    kind: z.literal(kind),
    metadata: objectMetaSchema,
    spec,
    status: status.exactOptional(),
  });
}

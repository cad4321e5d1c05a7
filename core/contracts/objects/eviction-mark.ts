/** The annotation that says of a claim: its volume is to leave a node because a pod is evicted there. The pod's uid is part of its key. */
import { z } from 'zod';
import { nodeNameSchema, objectNameSchema } from './meta.ts';

export const evictionMarkSchema = z.object({
  /** Name of the pod, in the claim's namespace. */
  pod: objectNameSchema,
  /** Where the pod ran. */
  node: nodeNameSchema,
  /** Names of the claims of the pod that were marked with this one: their volumes leave together, or none of them does. */
  claims: z.array(objectNameSchema).default([]),
});
export type EvictionMark = z.infer<typeof evictionMarkSchema>;

/** LocalVolumeGroup (lvg): the volumes of one pod, whose replicas lie on the same nodes. */
import { z } from 'zod';
import { accessibilitySchema, objectSchema } from './meta.ts';

export const localVolumeGroupSchema = objectSchema(
  'LocalVolumeGroup',
  z.object({
    volumes: z.array(z.object({ localvolume: z.string().optional(), pvc: z.string().optional() })).optional(),
    accessibility: accessibilitySchema.optional(),
    pods: z.array(z.string()).optional(),
    namespace: z.string().optional(),
  }),
  z.object({}),
);
export type LocalVolumeGroup = z.infer<typeof localVolumeGroupSchema>;

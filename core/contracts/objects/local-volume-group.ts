/** LocalVolumeGroup (lvg): the volumes of one pod, whose replicas lie on the same nodes. */
import { z } from 'zod';
import { accessibilitySchema, objectSchema } from './meta.ts';

export const localVolumeGroupSchema = objectSchema(
  'LocalVolumeGroup',
  z.object({
    volumes: z.array(z.object({ localvolume: z.string().exactOptional(), pvc: z.string().exactOptional() })).exactOptional(),
    accessibility: accessibilitySchema.exactOptional(),
    pods: z.array(z.string()).exactOptional(),
    namespace: z.string().exactOptional(),
  }),
  z.object({}),
);
export type LocalVolumeGroup = z.infer<typeof localVolumeGroupSchema>;

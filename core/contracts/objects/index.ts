/**
 * HwameiStor's objects, each schema once: types are inferred from them, the CustomResourceDefinitions in deploy/crds are generated from them.
 *
 * Workflows must not import this module (zod costs every cached workflow memory); types by `import type` are free.
 */
import { localStorageNodeSchema } from './local-storage-node.ts';
import { localVolumeSchema } from './local-volume.ts';
import { localVolumeGroupSchema } from './local-volume-group.ts';
import { localVolumeMigrateSchema } from './local-volume-migrate.ts';
import { localVolumeReplicaSchema } from './local-volume-replica.ts';

export * from './eviction-mark.ts';
export * from './local-storage-node.ts';
export * from './local-volume.ts';
export * from './local-volume-group.ts';
export * from './local-volume-migrate.ts';
export * from './local-volume-replica.ts';
export type { Condition, ObjectMeta } from './meta.ts';

/** All kinds, cluster-scoped and with a status of their own, and what the API server and kubectl call them. */
export const KINDS = {
  LocalStorageNode: { plural: 'localstoragenodes', shortName: 'lsn', schema: localStorageNodeSchema },
  LocalVolume: { plural: 'localvolumes', shortName: 'lv', schema: localVolumeSchema },
  LocalVolumeReplica: { plural: 'localvolumereplicas', shortName: 'lvr', schema: localVolumeReplicaSchema },
  LocalVolumeGroup: { plural: 'localvolumegroups', shortName: 'lvg', schema: localVolumeGroupSchema },
  LocalVolumeMigrate: { plural: 'localvolumemigrates', shortName: 'lvmigrate', schema: localVolumeMigrateSchema },
} as const;
export type Kind = keyof typeof KINDS;

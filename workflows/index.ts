/** Every workflow that a controller runs. */
export { evictNode } from './evict-node.ts';
export { evictPod } from './evict-pod.ts';
export { limitSyncs } from './limit-syncs.ts';
export { migrateVolume } from './migrate-volume.ts';

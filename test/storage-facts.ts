/** A node with one volume group, as LVM might report it. */
import type { LogicalVolumeFacts, StorageFacts } from '../core/domain/storage-node-report.ts';

const MiB = 2 ** 20;
export const POOL = 'LocalStorage_PoolHDD';

export const logicalVolumeFacts = (name: string, change: Partial<LogicalVolumeFacts> = {}): LogicalVolumeFacts => ({
  volumeGroup: POOL,
  name,
  sizeBytes: 64 * MiB,
  tags: [],
  active: true,
  open: false,
  thinPool: '',
  dataPercent: 0,
  devices: ['/dev/sda'],
  ...change,
});

export const storageFacts = (change: Partial<StorageFacts> = {}): StorageFacts => ({
  volumeGroups: [{ name: POOL, sizeBytes: 1000 * MiB, freeBytes: 600 * MiB }],
  physicalVolumes: [{ device: '/dev/sda', volumeGroup: POOL, sizeBytes: 1000 * MiB, missing: false }],
  logicalVolumes: [],
  thinPools: [],
  replicatedVolumes: [],
  ...change,
});

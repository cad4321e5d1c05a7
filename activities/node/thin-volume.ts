/** What LVM says of a thin logical volume and its pool. */
import type { ThinVolume } from '../../core/contracts/migration.ts';
import { allocatedAtMost } from '../../core/domain/thin-space.ts';
import type { LogicalVolume, Segment } from '../../system/lvm/report.ts';

/** @param segments of the volume group. @returns undefined for a volume that is not thin. */
export function thinVolumeOf({ name, thinPool, sizeBytes }: LogicalVolume, segments: readonly Segment[]): ThinVolume | undefined {
  const own = segments.find(({ logicalVolume, type }) => logicalVolume === name && type === 'thin');
  if (!own) return undefined;
  const pool = segments.find(({ logicalVolume, type }) => logicalVolume === thinPool && type === 'thin-pool');
  if (!pool) throw new Error(`LVM says that ${name} lives in thin pool ${thinPool}, and nothing of that pool`);
  return {
    pool: thinPool,
    allocatedBytes: own.dataPercent === undefined ? sizeBytes : allocatedAtMost(sizeBytes, own.dataPercent),
    chunkBytes: pool.chunkSizeBytes,
  };
}

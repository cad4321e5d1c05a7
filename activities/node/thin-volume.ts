/** What LVM says of a thin logical volume and its pool. */
import type { ThinVolume } from '../../core/contracts/migration.ts';
import { allocatedAtMost } from '../../core/domain/thin-space.ts';
import type { LogicalVolume } from '../../system/lvm/report.ts';

/** @param volumes of the volume group. @returns undefined for a volume that is not thin. */
export function thinVolumeOf(
  { name, thinPool, sizeBytes, segments }: LogicalVolume,
  volumes: readonly LogicalVolume[],
): ThinVolume | undefined {
  const own = segments.find(({ type }) => type === 'thin');
  if (!own) return undefined;
  const pool = findThinPool(volumes, thinPool);
  if (!pool) throw new Error(`LVM says that ${name} lives in thin pool ${thinPool}, and nothing of that pool`);
  return {
    pool: thinPool,
    allocatedBytes: own.dataPercent === undefined ? sizeBytes : allocatedAtMost(sizeBytes, own.dataPercent),
    chunkBytes: pool.chunkSizeBytes,
  };
}

export interface ThinPool {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  /** undefined: LVM cannot tell. */
  readonly dataPercent: number | undefined;
}

export function findThinPool(volumes: readonly LogicalVolume[], name: string): ThinPool | undefined {
  const pool = volumes.find((volume) => volume.name === name);
  const segment = pool?.segments.find(({ type }) => type === 'thin-pool');
  return pool && segment && { ...segment, sizeBytes: pool.sizeBytes };
}

/** Ranges of a device that are looked at one by one. */
import type { SectorRange } from '../contracts/node-activities.ts';

/** Each range costs a fraction of a second, however short it is. */
const MOST_RANGES = 100;
export const SECTOR_BYTES = 512;

/** All that the ranges cover, in order, each sector once. More than a hundred become one around them all. */
export function mergeRanges(ranges: readonly SectorRange[]): SectorRange[] {
  const merged: SectorRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.startSector - b.startSector)) {
    const last = merged.at(-1);
    if (!last || range.startSector > endOf(last)) merged.push(range);
    else merged[merged.length - 1] = between(last.startSector, Math.max(endOf(last), endOf(range)));
  }
  return merged.length > MOST_RANGES ? [between(merged[0]!.startSector, endOf(merged.at(-1)!))] : merged;
}

export const bytesIn = (ranges: readonly SectorRange[]): number => ranges.reduce((sum, { sectors }) => sum + sectors * SECTOR_BYTES, 0);

const endOf = ({ startSector, sectors }: SectorRange): number => startSector + sectors;
const between = (startSector: number, end: number): SectorRange => ({ startSector, sectors: end - startSector });

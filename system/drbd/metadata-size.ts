/**
 * How large DRBD's external metadata must be.
 *
 * One 4 KiB page of bitmap covers 128 MiB of data for one peer; superblock and activity log take 36 KiB. Metadata that is too small is not an error
 * to DRBD: the device is silently shorter than the data, so it is computed here and the sizes are compared after attach.
 */

const PAGE_BYTES = 4096;
const BYTES_COVERED_BY_PAGE = 128 * 2 ** 20;
const FIXED_PAGES = 9;
/** LVM's usual extent. 64 KiB were refused by create-md and 96 KiB taken, so this is also comfortably above the least. */
const GRANULARITY_BYTES = 4 * 2 ** 20;

/** Bytes for one peer, on 8.4 and on 9 with one slot for bitmaps alike, in steps of 4 MiB: 4 MiB serve up to 129,920 MiB of data, 8 MiB up to 260,992 MiB. */
export function metadataSizeBytes(dataBytes: number): number {
  const needed = (Math.ceil(dataBytes / BYTES_COVERED_BY_PAGE) + FIXED_PAGES) * PAGE_BYTES;
  return Math.ceil(needed / GRANULARITY_BYTES) * GRANULARITY_BYTES;
}

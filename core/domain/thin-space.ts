/**
 * What a thin volume takes of a thin pool.
 *
 * A pool that runs full stops every volume in it, so of what is not known exactly the worse is taken. Only what the volume has taken on its source is
 * asked for, not its size: that is what travels.
 */
import type { ThinVolume } from '../contracts/migration.ts';

/** The most that DRBD asks for at once (DRBD_MAX_BIO_SIZE of its drbd_protocol.h). */
const LARGEST_REQUEST_BYTES = 2 ** 20;

/**
 * The most that a copy takes of a pool whose chunks have that size.
 *
 * The target asks for whole chunks and leaves out those that are zeros on the source. It can only ask so where a chunk is a power of two and no
 * larger than a request; elsewhere it writes every zero.
 * @param targetChunkBytes undefined: nobody has said.
 */
export function bytesOfCopy({ allocatedBytes, chunkBytes }: ThinVolume, volumeBytes: number, targetChunkBytes?: number): number {
  if (targetChunkBytes === undefined) return volumeBytes;
  const wholeBytes = Math.ceil(volumeBytes / targetChunkBytes) * targetChunkBytes;
  const isPowerOfTwo = (targetChunkBytes & (targetChunkBytes - 1)) === 0;
  if (!isPowerOfTwo || targetChunkBytes > LARGEST_REQUEST_BYTES) return wholeBytes;
  const chunks = Math.ceil(allocatedBytes / chunkBytes);
  return Math.min(wholeBytes, chunks * chunksTouched(chunkBytes, targetChunkBytes) * targetChunkBytes);
}

/** How many chunks of the target one of the source may lie in: it begins at multiples of their common divisor. */
function chunksTouched(chunkBytes: number, targetChunkBytes: number): number {
  const latestStart = targetChunkBytes - commonDivisor(chunkBytes, targetChunkBytes);
  return Math.ceil((latestStart + chunkBytes) / targetChunkBytes);
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** LVM rounds a percentage to two decimals. */
const ROUNDING_PERCENT = 0.005;

/** Of a volume or a pool of that size, what LVM's percentage means at most. */
export function allocatedAtMost(sizeBytes: number, percent: number): number {
  return Math.min(sizeBytes, Math.ceil((sizeBytes * (percent + ROUNDING_PERCENT)) / 100));
}

/** What it means at least. */
export function allocatedAtLeast(sizeBytes: number, percent: number): number {
  return Math.max(0, Math.floor((sizeBytes * (percent - ROUNDING_PERCENT)) / 100));
}

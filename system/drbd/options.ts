/** What drbdsetup takes of both versions alike. */
import type { SectorRange } from '../../core/contracts/node-activities.ts';
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';
import { SECTOR_BYTES } from '../block-device.ts';
import type { MirrorPair, SocketAddress } from './mirror-driver.ts';

const KIB = 1024;
/** DRBD's unit of max-buffers, whatever the kernel's pages are. */
const PAGE_BYTES = 4096;
/** KiB/s (DRBD_RESYNC_RATE_MAX in include/linux/drbd_limits.h). */
const MAXIMUM_RESYNC_RATE = 4_194_304;

/**
 * Of the sync's controller: rates in KiB/s, the fill target in sectors; c-plan-ahead, how far it looks ahead, in 0.1 s. It works in steps of 0.1 s, of
 * which it gives resync-rate to the first: without it a sync would take as long as it looks ahead, 2 s, to come to its rate (drbd_rs_controller in
 * drbd_worker.c).
 */
export const controllerOptions = ({ maxRateBytesPerSecond, minRateBytesPerSecond, fillTargetBytes }: SyncSettings): string[] => [
  '--c-plan-ahead=20',
  maxRateOption(maxRateBytesPerSecond),
  `--c-fill-target=${Math.floor(fillTargetBytes / SECTOR_BYTES)}`,
  `--resync-rate=${Math.min(Math.floor((10 * fillTargetBytes) / KIB), MAXIMUM_RESYNC_RATE)}`,
  `--c-min-rate=${Math.floor(minRateBytesPerSecond / KIB)}`,
];

export const maxRateOption = (bytesPerSecond: number): string => `--c-max-rate=${Math.floor(bytesPerSecond / KIB)}`;

/**
 * Time limits by which a dead peer holds a write for less than 3 s: a lost link is seen after ping-int + ping-timeout (1 s + 1 s), a hung disk after
 * timeout x ko-count (1 s x 2), and what the kernel's timers and the end of the connection add, up to 0.8 s. timeout and ping-timeout are in 0.1 s.
 * Shorter ones take a peer that is only busy for dead. A new connection is watched for socket-check-timeout (0.1 s) before it counts, by default for as
 * long as a ping may take. Buffers for what arrives are counted in pages.
 */
export const netOptions = ({ bufferBytes, socketBufferBytes }: SyncSettings): string[] => [
  '--protocol=C',
  `--max-buffers=${Math.floor(bufferBytes / PAGE_BYTES)}`,
  `--sndbuf-size=${socketBufferBytes}`,
  `--rcvbuf-size=${socketBufferBytes}`,
  '--connect-int=1',
  '--ping-int=1',
  '--ping-timeout=10',
  '--socket-check-timeout=1',
  '--timeout=10',
  '--ko-count=2',
  '--verify-alg=crc32c',
  '--cram-hmac-alg=sha256',
];

/** Of a disk that is thin. The size is the least chunk of a thin pool: DRBD takes the pool's own where that is larger. */
export const thinOptions = (thin: boolean | undefined): string[] => (thin ? ['--rs-discard-granularity=65536'] : []);

/** In sectors. A verify without a beginning would go on where an earlier one was broken off. */
export function verifyBounds(range: SectorRange | undefined): string[] {
  return range ? [`--start=${range.startSector}`, `--stop=${range.startSector + range.sectors}`] : ['--start=0'];
}

/** Of this end and of the other one. */
export const addressesOf = ({ local, peer }: MirrorPair): [string, string] => [format(local), format(peer)];
const format = ({ address, port }: SocketAddress): string => `ipv4:${address}:${port}`;

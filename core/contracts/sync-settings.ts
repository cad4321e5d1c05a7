/** How hard a sync works, as far as people tune it; docs/performance.md says when to. The same for every version of DRBD. */
export interface SyncSettings {
  /** A sync never takes more, of however idle a network. */
  readonly maxRateBytesPerSecond: number;
  /** A sync beside an application that reads and writes is slowed down, but not below this; 0: it is not slowed down. */
  readonly minRateBytesPerSecond: number;
  /** On its way between both disks at any moment. */
  readonly fillTargetBytes: number;
  /** Memory that a mirror may take on each node for what arrives. */
  readonly bufferBytes: number;
  /** As `minRateBytesPerSecond`, beside an application that uses the very volume. */
  readonly onlineMinRateBytesPerSecond: number;
  /** A verify beside an application takes no more: DRBD holds back writes to the blocks it compares. */
  readonly onlineVerifyRateBytesPerSecond: number;
  /** Of a mirror's TCP connection, in each direction; 0: the kernel decides. */
  readonly socketBufferBytes: number;
}

const KiB = 2 ** 10;
const MiB = 2 ** 20;

/** DRBD's own defaults reach half of what a plain copy does, and fall to 250 KiB/s as soon as anything writes. */
export const DEFAULT_SYNC_SETTINGS: SyncSettings = {
  maxRateBytesPerSecond: 4_000_000 * KiB,
  minRateBytesPerSecond: 10 * MiB,
  fillTargetBytes: 10 * MiB,
  bufferBytes: 32_000 * KiB,
  onlineMinRateBytesPerSecond: 2 * MiB,
  onlineVerifyRateBytesPerSecond: 64 * MiB,
  socketBufferBytes: 4 * MiB,
};

/** First and last of what DRBD takes, 8.4 and 9 alike (include/linux/drbd_limits.h); of the fill target 0 is left out, which means another mode. */
export const SYNC_SETTING_LIMITS: Readonly<Record<keyof SyncSettings, readonly [number, number]>> = {
  maxRateBytesPerSecond: [250 * KiB, 4096 * MiB],
  minRateBytesPerSecond: [0, 4096 * MiB],
  fillTargetBytes: [512, 512 * MiB],
  bufferBytes: [128 * KiB, 512 * MiB],
  onlineMinRateBytesPerSecond: [KiB, 4096 * MiB],
  onlineVerifyRateBytesPerSecond: [250 * KiB, 4096 * MiB],
  socketBufferBytes: [0, 10 * MiB],
};

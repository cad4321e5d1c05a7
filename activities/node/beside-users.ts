/** A sync or a verify beside an application that writes to the volume. */
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';

/** What is on its way there holds up writes on a slow network: a second at 1 MiB/s. */
const FILL_TARGET_BYTES = 2 ** 20;

/**
 * A sync steps aside for a write into the 16 MiB it is at (an extent of DRBD's resync bitmap) only while it is faster than its least rate, else the
 * write waits until all of them are copied: so the least rate has to be below what the network can do.
 */
export function besideUsers(settings: SyncSettings): SyncSettings {
  return {
    ...settings,
    minRateBytesPerSecond: Math.min(settings.minRateBytesPerSecond, settings.onlineMinRateBytesPerSecond),
    fillTargetBytes: Math.min(settings.fillTargetBytes, FILL_TARGET_BYTES),
  };
}

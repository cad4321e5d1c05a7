/** How far a sync or verify is, as people are shown it. */
import type { SyncProgress } from '../contracts/migration.ts';
import type { Progress } from '../contracts/objects/index.ts';

/** 100 % is said of what is complete only; without a rate there is no estimate. */
export function progressOfSync({ syncedBytes, totalBytes, bytesPerSecond, waitsFor }: SyncProgress): Progress {
  const leftBytes = Math.max(0, totalBytes - syncedBytes);
  return {
    percent: totalBytes === 0 ? 100 : Math.floor(((totalBytes - leftBytes) / totalBytes) * 100),
    syncedBytes,
    totalBytes,
    bytesPerSecond,
    ...((bytesPerSecond > 0 || leftBytes === 0) && { etaSeconds: leftBytes === 0 ? 0 : Math.ceil(leftBytes / bytesPerSecond) }),
    ...(waitsFor !== undefined && { waitsFor }),
  };
}

/** The wait for a sync: looks at the kernel until both copies are alike, or until somebody else has to act. */
import type { Mirror, SyncProgress } from '../../core/contracts/migration.ts';
import type { SyncOutcome } from '../../core/contracts/node-activities.ts';
import type { MirrorState } from '../../system/drbd/mirror-driver.ts';
import { ensureConnecting } from './attach-mirror.ts';
import type { NodeDependencies } from './dependencies.ts';
import {
  act,
  isAttached,
  type KernelState,
  leadsThroughMirror,
  lookAround,
  type MirrorStep,
  observeKernel,
  openStep,
  pairOf,
  requireMetadata,
  requireOwnDisk,
} from './mirror-step.ts';
import { KEEPS_MIRROR, type Requirement } from './permission.ts';

const LOOK_EVERY_MILLISECONDS = 500;
/** The volume's table costs two programs to read: every so many looks, and whenever the sync seems done. */
const LOOKS_BETWEEN_TABLES = 20;
const RECONNECTS = 3;

/** What a verify found different is sent again, also once the volume is closed. */
const SYNCS = { role: 'source', phases: KEEPS_MIRROR } as const satisfies Requirement;

export async function awaitSync(deps: NodeDependencies, mirror: Mirror): Promise<SyncOutcome> {
  const step = await openStep(deps, mirror, SYNCS);
  const attempt = deps.attempt();
  const first = await observeKernel(step);
  const minor = first.resource?.minor;
  if (minor === undefined) return SOURCE_LOST;
  let broken = await findBroken(step, minor, first);
  const standstill = watchForStandstill();
  let reconnects = 0;
  for (let look = 1; !broken; look += 1) {
    const state = await step.drbd.observeMinor(minor);
    const finished = state !== undefined && isInSync(state);
    if (!state || finished || look % LOOKS_BETWEEN_TABLES === 0) broken = await findBroken(step, minor, await observeKernel(step));
    if (broken || !state) continue;
    attempt.heartbeat(progressOf(mirror, state));
    if (finished) return { kind: 'synced', progress: progressOf(mirror, state) };

    const stands = standstill(state);
    if (stands) return { kind: 'peerLost', message: stands };
    if (state.connection === 'StandAlone' && reconnects < RECONNECTS) {
      reconnects += 1;
      await reconnect(deps, mirror);
    }
    await attempt.sleep(LOOK_EVERY_MILLISECONDS);
  }
  return broken;
}

/** A short cut of the network mends itself; a target that was restarted, or a sync that was paused, waits for somebody. */
const NOT_SYNCING_SECONDS = 10;
/** While DRBD says that it copies: longer than a disk of the target may take for what is on its way there. */
const NO_PROGRESS_SECONDS = 60;

/** What DRBD shows while it copies, or is about to. */
const SYNCING = ['SyncSource', 'WFBitMapS', 'StartingSyncS', 'VerifyS'];

/** @returns what hears of every look at a sync or a verify, and says in words that nothing happens any more, once that has lasted. */
export function watchForStandstill(): (state: MirrorState) => string | undefined {
  let [syncingAt, movedAt] = [performance.now(), performance.now()];
  let left: string | undefined;
  return (state) => {
    const now = performance.now();
    if (SYNCING.includes(state.replication)) syncingAt = now;
    const leftNow = `${state.outOfSyncKib}/${state.position?.leftKib}`;
    if (leftNow !== left) movedAt = now;
    left = leftNow;
    if (now - syncingAt > NOT_SYNCING_SECONDS * 1000) return describe(state);
    if (now - movedAt > NO_PROGRESS_SECONDS * 1000) return `no progress for ${NO_PROGRESS_SECONDS} s: ${describe(state)}`;
    return undefined;
  };
}

function reconnect(deps: NodeDependencies, mirror: Mirror): Promise<void> {
  return act(deps, mirror, SYNCS, async (step) => {
    await ensureConnecting(step, pairOf(step, requireMetadata(step, await lookAround(step)).tags));
  });
}

/** Both copies are alike, as far as DRBD knows: only a verify knows more. */
export function isInSync(state: MirrorState): boolean {
  return isHealthy(state) && state.outOfSyncKib === 0;
}

/** Connected, at rest, both copies complete. */
export function isHealthy({ connection, replication, disk, peerDisk }: MirrorState): boolean {
  return connection === 'Connected' && replication === 'Established' && disk === 'UpToDate' && peerDisk === 'UpToDate';
}

const SOURCE_LOST = {
  kind: 'sourceLost',
  message: 'the mirror has gone from the source: its node was restarted, or somebody took it down',
} as const;

/** Why what DRBD says of this minor does not hold for the volume. */
async function findBroken(
  step: MirrorStep,
  minor: number,
  kernel: KernelState,
): Promise<Exclude<SyncOutcome, { kind: 'synced' }> | undefined> {
  requireOwnDisk(kernel);
  const { device, resource } = kernel;
  if (!isAttached(resource) || resource?.minor !== minor) {
    return SOURCE_LOST;
  }
  if (device && !leadsThroughMirror(device, minor)) {
    return {
      kind: 'bypassed',
      message: `the volume's device leads past the mirror: ${device.table.map(({ target, args }) => `${target} ${args}`)}`,
    };
  }
  // A volume that was closed has none: nobody writes past the mirror. Under another name it may have any table.
  const isClosed = async (): Promise<boolean> => (await lookAround(step)).metadata?.tags.volumeAtClose !== undefined;
  return device || (await isClosed()) ? undefined : DEVICE_LOST;
}

const DEVICE_LOST = {
  kind: 'bypassed',
  message: "the volume's device has gone: its logical volume was renamed, deactivated or removed",
} as const;

/** Of a sync, what is not out of sync; of a verify, what it has passed. */
export function progressOf({ sizeBytes }: Mirror, { replication, position, outOfSyncKib }: MirrorState): SyncProgress {
  const leftBytes = (replication === 'VerifyS' ? (position?.leftKib ?? 0) : outOfSyncKib) * 1024;
  return {
    totalBytes: sizeBytes,
    syncedBytes: Math.max(0, sizeBytes - leftBytes),
    outOfSyncBytes: outOfSyncKib * 1024,
    bytesPerSecond: (position?.kibPerSecond ?? 0) * 1024,
  };
}

export function describe(state: MirrorState | undefined): string {
  if (!state) return 'no such mirror in the kernel';
  return `${state.connection} ${state.replication}, disks ${state.disk}/${state.peerDisk}, ${state.outOfSyncKib} KiB out of sync`;
}

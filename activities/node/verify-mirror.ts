/** Comparing both copies block by block, and sending again what differs. */
import type { Mirror } from '../../core/contracts/migration.ts';
import type { SectorRange, SkippedRanges, TargetCounter, VerifyReport } from '../../core/contracts/node-activities.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import { mergeRanges } from '../../core/domain/sector-ranges.ts';
import { isOpen, listMappedDevices } from '../../system/device-mapper/devices.ts';
import type { LocalMirror, MirrorDriver, MirrorState } from '../../system/drbd/mirror-driver.ts';
import { describe, isHealthy, progressOf, watchForStandstill } from './await-sync.ts';
import { besideUsers } from './beside-users.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { act, lookAround, type MirrorStep, openStep, pairOf, requireMetadata, sharedSecret } from './mirror-step.ts';

const LOOK_EVERY_MILLISECONDS = 500;

/** The last verify of a volume may follow its closing. */
const VERIFIES = ['Verifying', 'CuttingOver'] as const satisfies readonly Phase[];

/**
 * That the pass covered everything is not this end's to say: the target's read counter is the proof. @param ranges by default the whole device.
 * @throws MirrorNotReady where it stands still.
 */
export async function verifyMirror(deps: NodeDependencies, mirror: Mirror, ranges?: readonly SectorRange[]): Promise<VerifyReport> {
  if (!ranges) return verifyOnce(deps, mirror);
  const reports: VerifyReport[] = [];
  for (const range of ranges) reports.push(await verifyOnce(deps, mirror, range));
  return {
    completed: reports.every(({ completed }) => completed),
    healthy: reports.every(({ healthy }) => healthy),
    outOfSyncBytes: Math.max(...reports.map(({ outOfSyncBytes }) => outOfSyncBytes)),
    ...named(reports.map(({ skipped }) => skipped).reduce(both)),
  };
}

async function verifyOnce(deps: NodeDependencies, mirror: Mirror, range?: SectorRange): Promise<VerifyReport> {
  const attempt = deps.attempt();
  const { drbd, limited, ...local } = await beginWhenAlone(deps, mirror, range);
  const standstill = watchForStandstill();
  for (;;) {
    const state = await drbd.observeMinor(local.minor);
    if (state?.replication !== 'VerifyS') {
      // It would limit the syncs that follow, too.
      if (state && limited) await drbd.controlSync(local, besideUsers(deps.syncSettings));
      const healthy = state !== undefined && isHealthy(state);
      const report = { completed: healthy, healthy, outOfSyncBytes: (state?.outOfSyncKib ?? 0) * 1024 };
      return { ...report, ...named(await drbd.skippedByVerify(local)) };
    }
    attempt.heartbeat(progressOf(mirror, state));
    const stands = standstill(state);
    if (stands) throw failure('MirrorNotReady', stands);
    await attempt.sleep(LOOK_EVERY_MILLISECONDS);
  }
}

interface BegunVerify extends LocalMirror {
  readonly drbd: MirrorDriver;
  /** It is held back for the sake of the volume's users. */
  readonly limited: boolean;
}

const OTHERS_LOOK_MILLISECONDS = 1000;

/** Two at once would hold the writes of a volume's users for too long: one waits for the other, which shows that it goes on or ends. */
async function beginWhenAlone(deps: NodeDependencies, mirror: Mirror, range?: SectorRange): Promise<BegunVerify> {
  const attempt = deps.attempt();
  for (;;) {
    const begun = await begin(deps, mirror, range);
    if (typeof begun !== 'string') return begun;
    const waitsFor = `the verify of mirror ${begun} on the same node`;
    attempt.heartbeat({ totalBytes: mirror.sizeBytes, syncedBytes: 0, outOfSyncBytes: 0, bytesPerSecond: 0, waitsFor });
    await attempt.sleep(OTHERS_LOOK_MILLISECONDS);
  }
}

/**
 * One that runs already is an earlier attempt's, which began with the same range: where that had come to a later one, the target's counter tells.
 * @returns the name of another mirror where the volume is used and that one is verified on this node. @throws MirrorNotReady
 */
function begin(deps: NodeDependencies, mirror: Mirror, range?: SectorRange): Promise<BegunVerify | string> {
  return act(deps, mirror, { role: 'source', phases: VERIFIES }, async (step) => {
    const { drbd } = step;
    const { state, ...local } = await requireMirror(step);
    const limited = isOpen((await listMappedDevices(step.host)).get(step.names.device));
    if (state.replication === 'VerifyS') return { ...local, drbd, limited };
    if (!isHealthy(state)) throw failure('MirrorNotReady', `a verify needs both copies at rest: ${describe(state)}`);
    const other = limited && (await otherBeingVerified(step));
    if (other) return other;
    const { syncSettings } = deps;
    const slow = { ...besideUsers(syncSettings), maxRateBytesPerSecond: syncSettings.onlineVerifyRateBytesPerSecond };
    await drbd.controlSync(local, limited ? slow : syncSettings);
    await drbd.startVerify(local, range);
    return { ...local, drbd, limited };
  });
}

async function otherBeingVerified({ drbd, names }: MirrorStep): Promise<string | undefined> {
  const others = (await drbd.observe()).filter(({ resource }) => resource !== names.resource);
  return others.find(({ state }) => state?.replication === 'VerifyS' || state?.replication === 'VerifyT')?.resource;
}

/** @param since what it answered before the verify: then it also says what this end skipped. */
export async function readTargetCounter(deps: NodeDependencies, mirror: Mirror, since?: number): Promise<TargetCounter> {
  const step = await openStep(deps, mirror, { role: 'target', phases: [...VERIFIES, 'AwaitingDetach'] });
  const { state, ...local } = await requireMirror(step);
  const { readKib } = state;
  if (since !== undefined) return { readKib, ...named(await step.drbd.skippedByVerify(local, since)) };
  const logPosition = await step.drbd.verifyLogPosition();
  return { readKib, ...(logPosition !== undefined && { logPosition }) };
}

function both(one: SkippedRanges | undefined, other: SkippedRanges | undefined): SkippedRanges | undefined {
  if (one === 'unknown' || other === 'unknown') return 'unknown';
  return one && other && [...one, ...other];
}

/** As a workflow is told of it: few ranges, and nothing of a version that skips nothing. */
function named(skipped: SkippedRanges | undefined): Pick<VerifyReport, 'skipped'> {
  if (skipped === undefined) return {};
  return { skipped: skipped === 'unknown' ? skipped : mergeRanges(skipped) };
}

/** @throws MirrorNotReady */
async function requireMirror({ drbd, mirror, role, names }: MirrorStep): Promise<LocalMirror & { readonly state: MirrorState }> {
  const found = (await drbd.observe()).find(({ resource }) => resource === names.resource);
  if (found?.minor !== undefined && found.state) return { resource: found.resource, minor: found.minor, role, state: found.state };
  throw failure('MirrorNotReady', `the mirror of ${mirror.migration.volume} is not in this node's kernel`);
}

const RESYNC_STARTS_WITHIN_SECONDS = 20;
const RESYNC_LOOK_MILLISECONDS = 200;

/** @throws MirrorNotReady where the ends do not meet again, NotPermitted. */
export function repairMirror(deps: NodeDependencies, mirror: Mirror): Promise<void> {
  return act(deps, mirror, { role: 'source', phases: VERIFIES, pointOfNoReturn: false }, async (step) => {
    const pair = pairOf(step, requireMetadata(step, await lookAround(step)).tags);
    await step.drbd.repair(pair, await sharedSecret(step));
    const attempt = deps.attempt();
    const deadline = performance.now() + RESYNC_STARTS_WITHIN_SECONDS * 1000;
    for (;;) {
      const state = await step.drbd.observeMinor(pair.minor);
      if (state?.connection === 'Connected') return;
      if (performance.now() > deadline) throw failure('MirrorNotReady', `source and target did not meet again: ${describe(state)}`);
      await attempt.sleep(RESYNC_LOOK_MILLISECONDS);
    }
  });
}

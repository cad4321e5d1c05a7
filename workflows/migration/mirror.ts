/** The mirror: put in on both nodes, in sync, put in again after whatever took it away. */
import { CancellationScope } from '@temporalio/workflow';
import type { Mirror, MirrorEndpoint } from '../../core/contracts/migration.ts';
import type { MirrorRole, TargetCounter, TargetMirror } from '../../core/contracts/node-activities.ts';
import type { Refusal } from '../../core/contracts/reasons.ts';
import { failureOf } from '../failure.ts';
import { look } from './attend.ts';
import { notePeerLost } from './lost-target.ts';
import { report } from './report.ts';
import { type MigrationRun, required, requireFacts, requireMirror, requireRef } from './run.ts';
import type { RunStage, Stage } from './stages.ts';
import { control, inCluster, pauseAfterSetback, sync } from './steps.ts';
import { giveTurnBack, mayGoOn } from './turn.ts';

/** Errors of a target with which another node would do. */
const FAULTS_OF_TARGET = [
  'BlockSizeTooLarge',
  'LogicalVolumeConflict',
  'LogicalVolumeSizeMismatch',
  'DrbdNotSupported',
  'NoSuchThinPool',
  'PoolFull',
  'NoFreePort',
  'NoFreeMinor',
] as const satisfies readonly Refusal[];
type FaultOfTarget = (typeof FAULTS_OF_TARGET)[number];

export const prepare: RunStage = async (run) => {
  run.pairing ??= 1;
  const mirror = requireMirror(run);
  const isUntouched = run.begun === undefined;
  run.begun = mirror;
  const { pool, sizeBytes, source, target, pairing } = mirror;
  await report(run, 'Preparing', `puts the mirror to ${target.node} in`, {
    pool,
    sizeBytes,
    source,
    target,
    pairing,
    event: 'TargetReserved',
  });
  const allocated = await allocate(run, mirror);
  // Without DRBD its agent could make nothing, and can take nothing away.
  if (typeof allocated === 'string') return giveUpTarget(run, mirror, allocated, isUntouched && allocated === 'DrbdNotSupported');

  // From here on it syncs.
  if (!mayGoOn(run)) return 'AwaitingDetach';
  const fault = await putIn(run, mirror, allocated);
  if (fault) return giveUpTarget(run, mirror, fault);
  run.mirrorStands = true;
  return 'Syncing';
};

/** @returns where the target listens, or why it will not do. */
async function allocate(run: MigrationRun, mirror: Mirror): Promise<MirrorEndpoint | FaultOfTarget> {
  const allocateEnd = (role: MirrorRole) => {
    const { node } = mirror[role];
    const summary = `allocate the mirror's end on ${node}`;
    const answered = role === 'target' ? faultsAnswered(run) : [];
    return control(run, node, summary, (agent) => agent.allocateEndpoint({ mirror, role }), answered);
  };
  const [source, target] = await Promise.all([allocateEnd('source'), orFault(run, () => allocateEnd('target'))]);
  run.sourceEndpoint = source;
  if (typeof target === 'string') return target;
  const tooLarge = target.logicalBlockSizeBytes > source.logicalBlockSizeBytes;
  return tooLarge && !run.mirrorStands ? 'BlockSizeTooLarge' : target;
}

/**
 * Both ends at once: the source is Primary before it calls, so it does not matter which of them is there first. What the target says counts first, for a
 * source that waited for it in vain knows nothing of why. @returns why the target will not do.
 */
async function putIn(run: MigrationRun, mirror: Mirror, targetEndpoint: MirrorEndpoint): Promise<FaultOfTarget | undefined> {
  const { node } = mirror.source;
  const summary = `put the mirror beneath the volume on ${node}`;
  const scope = new CancellationScope();
  const atSource = scope.run(() => control(run, node, summary, (agent) => agent.ensureSourceMirror({ mirror, targetEndpoint })));
  atSource.catch(() => undefined);
  try {
    const answer = await orFault(run, () => ensureTarget(run, mirror));
    if (typeof answer === 'string') return answer;
    await atSource;
    return undefined;
  } finally {
    scope.cancel();
  }
}

async function ensureTarget(run: MigrationRun, mirror: Mirror): Promise<void> {
  const sourceEndpoint = required(run.sourceEndpoint, run, 'an endpoint on its source');
  const { node } = mirror.target;
  const summary = `create the mirror on ${node}`;
  const inUse = requireFacts(run).heldBy.length > 0;
  const request = { mirror, sourceEndpoint, ...(inUse && { inUse }) };
  const made = await control(run, node, summary, (agent) => agent.ensureTargetMirror(request), faultsAnswered(run));
  // Histories from before it was told have no answer.
  run.fullThinPool = (made as TargetMirror | null | undefined)?.fullThinPool;
}

/** A step of the target; instead of its answer why the target will not do. Once the mirror was put in, no other node would. */
async function orFault<T>(run: MigrationRun, step: () => Promise<T>): Promise<T | FaultOfTarget> {
  try {
    return await step();
  } catch (error) {
    const reason = failureOf(error)?.reason;
    const fault = FAULTS_OF_TARGET.find((candidate) => candidate === reason);
    if (!fault || run.mirrorStands) throw error;
    return fault;
  }
}

const faultsAnswered = ({ mirrorStands }: MigrationRun): readonly string[] => (mirrorStands ? [] : FAULTS_OF_TARGET);

/**
 * The next node gets a pairing of its own. Both ends go, the source's too: a run that comes after this one is told of no target, and would not know
 * what there is to take away. @param isUntouched nothing was made on the target.
 */
async function giveUpTarget(run: MigrationRun, mirror: Mirror, refusal: Refusal, isUntouched = false): Promise<Stage> {
  const { source, target } = mirror;
  const ref = requireRef(run);
  run.givenUp[target.node] = { refusal, at: Date.now() };
  const restoreSource = control(run, source.node, `remove what was made on ${source.node}`, (agent) => agent.restoreSource({ mirror }));
  const discardTarget = isUntouched
    ? undefined
    : control(run, target.node, `remove what was made on ${target.node}`, (agent) => agent.discardTarget({ mirror }));
  await Promise.all([restoreSource, discardTarget]);
  await giveTurnBack(run);
  delete run.begun;
  delete run.target;
  run.pairing = mirror.pairing + 1;
  await report(run, 'Reserving', `${target.node} cannot take the volume (${refusal}): looks for another node`, { pairing: run.pairing });
  await inCluster(run, `release the room on ${target.node}`, (cluster) => cluster.releaseReservation({ ref }));
  return 'Reserving';
}

export const synchronize: RunStage = async (run) => {
  const { target } = requireMirror(run);
  await report(run, 'Syncing', `copies to ${target.node}`, run.phase === 'Syncing' ? {} : { event: 'SyncStarted' });
  return (await catchUp(run)) ?? 'Verifying';
};

/** Waits until both copies are in sync. @returns where to go on, if they are not. */
export async function catchUp(run: MigrationRun): Promise<Stage | undefined> {
  if (!mayGoOn(run)) return 'AwaitingDetach';
  const mirror = requireMirror(run);
  const { source, target } = mirror;
  const askedAt = Date.now();
  const outcome = await sync(run, source.node, `sync ${source.node} to ${target.node}`, (agent) => agent.awaitSync({ mirror }));
  if (outcome.kind === 'synced') {
    run.setbacks = 0;
    delete run.peerLostSince;
    return undefined;
  }
  if (outcome.kind !== 'peerLost') return beginAnew(run, outcome.message);
  if (notePeerLost(run, askedAt)) return 'LeavingTarget';
  await report(run, run.phase, describeApart(run, mirror, outcome.message));
  if (run.setbacks > 0) {
    // It may last.
    await giveTurnBack(run);
    await pauseAfterSetback(run);
    if (!run.closed) return 'AwaitingDetach';
  }
  // Mostly the target's kernel has forgotten the mirror, and it helps at once.
  run.setbacks = Math.max(run.setbacks, 1);
  await attachTarget(run, mirror);
  return run.closed ? 'CuttingOver' : 'Syncing';
}

/**
 * A proven copy whose volume is still used, looked at from time to time: a bypass begins it anew before anybody waits for it, and a target that was
 * restarted is given its end back. @returns where to go on, if the mirror no longer stands as it should.
 */
export async function tend(run: MigrationRun): Promise<Stage | undefined> {
  const mirror = requireMirror(run);
  const { source, target } = mirror;
  const askedAt = Date.now();
  const outcome = await sync(run, source.node, `look after the mirror to ${target.node}`, (agent) => agent.awaitSync({ mirror }));
  if (outcome.kind === 'synced') {
    delete run.peerLostSince;
    return undefined;
  }
  if (outcome.kind !== 'peerLost') return beginAnew(run, outcome.message);
  if (notePeerLost(run, askedAt)) return 'LeavingTarget';
  await report(run, 'AwaitingDetach', describeApart(run, mirror, outcome.message));
  await attachTarget(run, mirror);
  // What was proven is what its disk had then. Attached anew it may lack what a cache held, or be an older one: DRBD knows only what it has sent. The
  // counter tells, which begins again at 0.
  const { readKib } = await readTargetCounter(run, mirror);
  run.verified &&= readKib === run.provenReadKib;
  return undefined;
}

export function readTargetCounter(
  run: MigrationRun,
  mirror: Mirror,
  position: { readonly logPosition?: number } = {},
): Promise<TargetCounter> {
  const { node } = mirror.target;
  return control(run, node, `read the counter on ${node}`, (agent) => agent.readTargetCounter({ mirror, ...position }));
}

/** The source sees only that the target does not answer; why, the target may have said. */
function describeApart({ fullThinPool }: MigrationRun, { source, target }: Mirror, message: string): string {
  const why = fullThinPool === undefined ? '' : `; thin pool ${fullThinPool} on ${target.node} is full, make room in it`;
  return `${source.node} and ${target.node} are not connected: ${message}${why}`;
}

/** The target's end of a mirror that stands comes back, whatever has become of the source's. */
export async function attachTarget(run: MigrationRun, mirror: Mirror): Promise<void> {
  const { node } = mirror.source;
  run.sourceEndpoint ??= await control(run, node, `where the mirror listens on ${node}`, (agent) =>
    agent.allocateEndpoint({ mirror, role: 'source' }),
  );
  await ensureTarget(run, mirror);
}

/** New metadata on both ends, all of it copied again: DRBD has not seen what was written meanwhile. */
export async function beginAnew(run: MigrationRun, cause: string): Promise<Stage> {
  const { pairing } = requireMirror(run);
  Object.assign(run, { pairing: pairing + 1, mirrorStands: false, verified: false, closed: false, verifyClosed: false });
  await report(run, 'Preparing', `the mirror begins anew: ${cause}`);
  await pauseAfterSetback(run);
  await look(run);
  return 'AwaitingDetach';
}

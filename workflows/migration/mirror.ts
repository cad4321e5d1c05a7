/** The mirror: put in on both nodes, in sync, put in again after whatever took it away. */
import type { Mirror } from '../../core/contracts/migration.ts';
import type { Refusal } from '../../core/contracts/reasons.ts';
import { failureOf } from '../failure.ts';
import { look } from './attend.ts';
import { report } from './report.ts';
import { type MigrationRun, required, requireMirror, requireRef } from './run.ts';
import type { RunStage, Stage } from './stages.ts';
import { control, inCluster, pauseAfterSetback, sync } from './steps.ts';
import { giveTurnBack } from './turn.ts';

/** Errors of a target with which another node would do. */
const FAULTS_OF_TARGET: Readonly<Record<string, Refusal>> = { BlockSizeTooLarge: 'BlockSizeTooLarge', LogicalVolumeConflict: 'GivenUp' };

export const prepare: RunStage = async (run) => {
  run.pairing ??= 1;
  const mirror = requireMirror(run);
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
  const refusal = await allocate(run, mirror);
  if (refusal) return giveUpTarget(run, mirror, refusal);

  const targetEndpoint = await ensureTarget(run, mirror);
  if (typeof targetEndpoint === 'string') return giveUpTarget(run, mirror, targetEndpoint);
  const summary = `put the mirror beneath the volume on ${source.node}`;
  await control(run, source.node, summary, (agent) => agent.ensureSourceMirror({ mirror, targetEndpoint }));
  run.mirrorStands = true;
  return 'Syncing';
};

/** @returns why the target will not do. */
async function allocate(run: MigrationRun, mirror: Mirror): Promise<Refusal | undefined> {
  const ends = (['source', 'target'] as const).map((role) => {
    const { node } = mirror[role];
    return control(run, node, `allocate the mirror's end on ${node}`, (agent) => agent.allocateEndpoint({ mirror, role }));
  });
  const [source, target] = await Promise.all(ends);
  if (source) run.sourceEndpoint = source;
  const tooLarge = source && target && target.logicalBlockSizeBytes > source.logicalBlockSizeBytes;
  return tooLarge && !run.mirrorStands ? 'BlockSizeTooLarge' : undefined;
}

/** @returns where the target listens, or why it will not do. */
async function ensureTarget(run: MigrationRun, mirror: Mirror) {
  const sourceEndpoint = required(run.sourceEndpoint, run, 'an endpoint on its source');
  const { node } = mirror.target;
  try {
    return await control(run, node, `create the mirror on ${node}`, (agent) => agent.ensureTargetMirror({ mirror, sourceEndpoint }));
  } catch (error) {
    const refusal = FAULTS_OF_TARGET[failureOf(error)?.reason ?? ''];
    if (!refusal || run.mirrorStands || run.pointOfNoReturn) throw error;
    return refusal;
  }
}

/** The next node gets a pairing of its own: the source's end is made anew for it. */
async function giveUpTarget(run: MigrationRun, mirror: Mirror, refusal: Refusal): Promise<Stage> {
  const { node } = mirror.target;
  const ref = requireRef(run);
  run.givenUp[node] = refusal;
  await control(run, node, `remove what was made on ${node}`, (agent) => agent.discardTarget({ mirror }));
  await giveTurnBack(run);
  await inCluster(run, `release the room on ${node}`, (cluster) => cluster.releaseReservation({ ref }));
  delete run.target;
  run.pairing = mirror.pairing + 1;
  await report(run, 'Reserving', `${node} cannot take the volume (${refusal}): looks for another node`, { pairing: run.pairing });
  return 'Reserving';
}

export const synchronize: RunStage = async (run) => {
  const { target } = requireMirror(run);
  await report(run, 'Syncing', `copies to ${target.node}`, run.phase === 'Syncing' ? {} : { event: 'SyncStarted' });
  return (await catchUp(run)) ?? 'Verifying';
};

/** Waits until both copies are in sync. @returns where to go on, if they are not. */
export async function catchUp(run: MigrationRun): Promise<Stage | undefined> {
  const mirror = requireMirror(run);
  const { source, target } = mirror;
  const outcome = await sync(run, source.node, `sync ${source.node} to ${target.node}`, (agent) => agent.awaitSync({ mirror }));
  if (outcome.kind === 'synced') {
    run.setbacks = 0;
    return undefined;
  }
  if (outcome.kind !== 'peerLost') return beginAnew(run, outcome.message);
  await report(run, run.phase, `${source.node} and ${target.node} are not connected: ${outcome.message}`);
  // Mostly the target's kernel has forgotten the mirror, and it helps at once.
  if (run.setbacks > 0) await pauseAfterSetback(run);
  else run.setbacks = 1;
  await ensureTarget(run, mirror);
  return run.closed ? 'CuttingOver' : 'Syncing';
}

/** For a mirror that nobody writes to any more: the target's end of it comes back, whatever has become of the source's. */
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
  Object.assign(run, { pairing: pairing + 1, mirrorStands: false, verified: false, closed: false });
  await report(run, 'Preparing', `the mirror begins anew: ${cause}`);
  await pauseAfterSetback(run);
  await look(run);
  return 'AwaitingDetach';
}

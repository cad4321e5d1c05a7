/**
 * The volume changes its node.
 *
 * Up to the point of no return the source can be given back, also after it was closed. The point of no return is the source's mark: one change of
 * LVM's metadata, made where the node sees a closed volume and a whole copy, after which no reboot brings the source's device back. So there is no
 * moment at which the migration may only go forward and a source that was restarted takes writes. Record and target then say it too, before anything
 * is taken apart. From there each step may be repeated: a new run begins with the first of them again.
 */
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { Mirror } from '../../core/contracts/migration.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import type { TransientError } from '../../core/contracts/reasons.ts';
import { type DetachVerdict, judgeDetach, mayClose } from '../../core/domain/detach.ts';
import { failureOf, MigrationFailure } from '../failure.ts';
import { HELD_VOLUME_MILLISECONDS } from '../timings.ts';
import { look } from './attend.ts';
import { attachTarget, beginAnew } from './mirror.ts';
import { mayLeave } from './place.ts';
import { report } from './report.ts';
import { type MigrationRun, requireFacts, requireMirror, requireRef } from './run.ts';
import type { RunStage, Stage } from './stages.ts';
import { control, inCluster, nextLook, pauseBefore, sync, tolerate } from './steps.ts';
import { giveTurnBack } from './turn.ts';
import { prove } from './verify.ts';

export const cutOver: RunStage = async (run) => {
  if (!run.pointOfNoReturn) {
    const elsewhere = (await close(run)) ?? (isProven(run) ? undefined : await prove(run));
    if (elsewhere) return elsewhere;
    // An abort in this instant is no danger: a source that was marked is not given back by its agent.
    await mark(run, 'source');
    run.pointOfNoReturn = true;
  }
  await tellPointOfNoReturn(run);
  await handOver(run);
  return 'RemovingSource';
};

const isProven = ({ verified, uncompared }: MigrationRun): boolean => verified && uncompared.length === 0;

/** Takes the volume from its users for good; `isProven` then says whether its copy is proven. @returns where to go on, if it cannot be. */
async function close(run: MigrationRun): Promise<Stage | undefined> {
  if (run.closed) {
    // What the counters said when it was closed is not known any more.
    run.verified = false;
    await report(run, 'CuttingOver', 'verifies the closed volume');
    return undefined;
  }
  await look(run);
  if (!mayLeave(requireFacts(run))) return 'AwaitingDetach';
  const mirror = requireMirror(run);
  const { node } = mirror.source;
  await report(run, 'CuttingOver', `takes the volume out of use on ${node}`, { event: 'Verified' });
  const verdict = await closeSource(run, mirror);
  if (!mayClose(verdict)) return whereElse(run, verdict);
  run.closed = true;
  run.heldOpen = 0;
  if (verdict.kind !== 'proven') {
    run.verified = false;
    await report(run, 'CuttingOver', `${verdict.message}: verifies the closed volume`);
  }
  return undefined;
}

async function closeSource(run: MigrationRun, mirror: Mirror): Promise<DetachVerdict> {
  const { node } = mirror.source;
  try {
    return judgeDetach(await control(run, node, `close the volume on ${node}`, (agent) => agent.closeSource({ mirror })));
  } catch (error) {
    const failure = failureOf(error);
    if (failure?.reason !== 'VolumeInUse') throw error;
    return { kind: 'inUse', message: failure.message };
  }
}

/** Where a volume goes on that cannot be closed yet. Counters that differ are no obstacle: what they mean is found out once it is closed. */
async function whereElse(run: MigrationRun, verdict: DetachVerdict): Promise<Stage | undefined> {
  switch (verdict.kind) {
    case 'proven':
    case 'unproven':
      return undefined;
    case 'bypassed':
      return beginAnew(run, verdict.message);
    case 'behind':
      // What is sent from here on has to be compared too.
      run.verified = false;
      return 'Syncing';
    case 'inUse':
      await report(run, 'AwaitingDetach', verdict.message);
      run.heldOpen += 1;
      // Mostly a pod's last moment. Else it may last, and nothing is wrong with the mirror.
      if (run.heldOpen > 1) await giveTurnBack(run);
      await pauseBefore(run, run.heldOpen);
      return 'AwaitingDetach';
  }
}

function mark(run: MigrationRun, role: MirrorRole, answered: readonly TransientError[] = []): Promise<void> {
  const mirror = requireMirror(run);
  const { node } = mirror[role];
  return control(run, node, `mark the point of no return on ${node}`, (agent) => agent.markCutOver({ mirror, role }), answered);
}

async function tellPointOfNoReturn(run: MigrationRun): Promise<void> {
  const mirror = requireMirror(run);
  await report(run, 'CuttingOver', `gives the volume to ${mirror.target.node}`, { pointOfNoReturn: true, event: 'CuttingOver' });
  try {
    await mark(run, 'target', ['MirrorNotReady']);
  } catch (error) {
    if (failureOf(error)?.reason !== 'MirrorNotReady') throw error;
    // One that was restarted in this instant has everything but its mirror in the kernel, and DRBD's metadata says whether it is whole.
    await attachTarget(run, mirror);
    await mark(run, 'target');
  }
}

async function handOver(run: MigrationRun): Promise<void> {
  const mirror = requireMirror(run);
  const { source, target, sizeBytes, pool, migration: ref } = mirror;
  const dissolve = (role: MirrorRole) =>
    control(run, mirror[role].node, `take the mirror down on ${mirror[role].node}`, (agent) => agent.dissolveMirror({ mirror, role }));
  const leaveSource = async () => {
    const sha256 = run.hashCheck ? await hashSource(run, mirror) : undefined;
    await dissolve('source');
    return sha256;
  };
  const takeTarget = async () => {
    await dissolve('target');
    return run.hashCheck ? hashTarget(run, mirror) : undefined;
  };
  // Side by side, for pods wait.
  const [sourceSha256, targetSha256] = await Promise.all([leaveSource(), takeTarget()]);
  if (sourceSha256 !== targetSha256 && sourceSha256) throw hashMismatch(mirror, sourceSha256, targetSha256);
  await switchObjects(run, { ref, sourceNode: source.node, target, sizeBytes, pool });
}

/** Waits while somebody's hand is on the PersistentVolume, which mostly passes by itself: an attachment goes some time after its pod. */
async function switchObjects(run: MigrationRun, request: Parameters<ClusterActivities['switchObjects']>[0]): Promise<void> {
  const begun = Date.now();
  for (;;) {
    const { looks } = run;
    try {
      await inCluster(run, `point the objects to ${request.target.node}`, (cluster) => cluster.switchObjects(request));
      return;
    } catch (error) {
      const failure = failureOf(error);
      const lasts = Date.now() - begun >= HELD_VOLUME_MILLISECONDS;
      if (failure?.reason !== 'PersistentVolumeRefused' || lasts) throw error;
      await report(run, 'CuttingOver', `waits: ${failure.message}`, { reason: failure.reason });
      await tolerate(run, () => giveTurnBack(run));
      await nextLook(run, looks);
    }
  }
}

/** @returns undefined where an earlier run has taken the mirror down already without leaving a hash. */
async function hashSource(run: MigrationRun, mirror: Mirror): Promise<string | undefined> {
  if (run.sourceSha256) return run.sourceSha256;
  const { node } = mirror.source;
  const { sha256 } = await sync(run, node, `hash the volume on ${node}`, (agent) => agent.hashVolume({ mirror, role: 'source' }));
  if (sha256 === undefined) return undefined;
  run.sourceSha256 = sha256;
  await report(run, 'CuttingOver', run.doing, { sourceSha256: sha256 });
  return sha256;
}

async function hashTarget(run: MigrationRun, mirror: Mirror): Promise<string | undefined> {
  const { node } = mirror.target;
  const { sha256 } = await sync(run, node, `hash the volume on ${node}`, (agent) => agent.hashVolume({ mirror, role: 'target' }));
  if (sha256) await report(run, 'CuttingOver', run.doing, { targetSha256: sha256 });
  return sha256;
}

function hashMismatch({ source, target }: Mirror, sourceSha256: string, targetSha256 = 'nothing'): MigrationFailure {
  const message = `the copy on ${target.node} is not what ${source.node} has (${targetSha256} instead of ${sourceSha256}): nothing was removed`;
  return new MigrationFailure({ reason: 'HashMismatch', message, permanent: true, lookHelps: false });
}

export const removeSource: RunStage = async (run) => {
  const mirror = requireMirror(run);
  const { source, target } = mirror;
  const ref = requireRef(run);
  await report(run, 'RemovingSource', `removes what is left on ${source.node}`, { event: 'VolumeMoved' });
  // The target first: its agent looks whether the volume is there at all, and a run may begin here, long after the cut-over.
  await control(run, target.node, `take the migration's tags off on ${target.node}`, (agent) => agent.releaseTarget({ mirror }));
  await control(run, source.node, `remove the volume on ${source.node}`, (agent) => agent.removeSource({ mirror }));
  await inCluster(run, `remove the replica on ${source.node}`, (cluster) => cluster.removeSourceReplica({ ref, sourceNode: source.node }));
  await report(run, 'Completed', `moved from ${source.node} to ${target.node}`, { event: 'MigrationCompleted' });
  return 'Completed';
};

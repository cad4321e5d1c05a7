/**
 * Moves one volume to another node. The workflow's id is the lock: at most one migration of a volume runs.
 *
 *   Observing -> Pending -> Reserving -> AwaitingDetach -> Preparing -> Syncing -> Verifying -> CuttingOver -> RemovingSource -> Completed
 *
 *   Observing          reads record and objects, and enters at the phase it finds: a run may follow one that was terminated, or be a reset
 *   CuttingOver        -> AwaitingDetach (in use again) | Syncing (behind); after the point of no return only forward
 *   any before it      -> Aborting -> Aborted, when a person or the world takes the wish back
 *   any                -> AwaitingDetach, Preparing with a new pairing, when the source lost its mirror
 *   any before it      -> LeavingTarget -> Reserving, when the target stays away for too long and another node takes the volume
 *   any                -> NeedsAttention -> (retry) Observing | (abort) Aborting, when a step failed for good
 */
import {
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { MigrateVolumeInput, MigrationEnded, MigrationOutcome } from '../core/contracts/migration.ts';
import { failureOf } from './failure.ts';
import { migrationEndedSignal, progressQuery } from './messages.ts';
import { takeBack } from './migration/abort.ts';
import { attend } from './migration/attend.ts';
import { cutOver, removeSource } from './migration/cut-over.ts';
import { progressOf } from './migration/display.ts';
import { leaveTarget } from './migration/leave-target.ts';
import { prepare, synchronize } from './migration/mirror.ts';
import { lookAtNodes, observe } from './migration/observe.ts';
import { park } from './migration/park.ts';
import { awaitDetach, reserve } from './migration/place.ts';
import { introduce } from './migration/report.ts';
import { beginRun, type Inheritance, leaveBehind, type MigrationRun } from './migration/run.ts';
import { isOutcome, type RunStage, type Stage } from './migration/stages.ts';
import { pauseAfterSetback, tolerate } from './migration/steps.ts';
import { giveTurnBack } from './migration/turn.ts';
import { verify } from './migration/verify.ts';

const STAGES: Readonly<Record<Stage, RunStage>> = {
  Observing: observe,
  Pending: lookAtNodes,
  Reserving: reserve,
  AwaitingDetach: awaitDetach,
  Preparing: prepare,
  Syncing: synchronize,
  Verifying: verify,
  CuttingOver: cutOver,
  RemovingSource: removeSource,
  LeavingTarget: leaveTarget,
  Aborting: takeBack,
};

/** Never given up half-way: observing is short and has to say what there is to take back, and the others are what an abort may not undo. */
const NOT_ABORTABLE: readonly Stage[] = ['Observing', 'LeavingTarget', 'Aborting', 'RemovingSource'];

/** Errors after which a look at both nodes finds the way to go on, as often as this in a row. */
const MIRROR_ERRORS: readonly string[] = ['MirrorNotReady', 'MirrorBypassed'];
const MAXIMUM_SETBACKS = 6;

/** @param followers of the run before, where the history became too long. @param inheritance the same run's. */
export async function migrateVolume(
  input: MigrateVolumeInput,
  followers: readonly string[] = [],
  inheritance?: Inheritance,
): Promise<MigrationEnded> {
  const run = beginRun(input, inheritance);
  for (const follower of followers) run.inbox.followers.add(follower);
  run.inbox.listen();
  setHandler(progressQuery, () => progressOf(run));
  introduce(run);
  return CancellationScope.nonCancellable(async () => {
    const outcome = await beside(
      () => attend(run),
      () => drive(run),
    );
    await tolerate(run, () => giveTurnBack(run));
    const { sourceNode, abortedByPerson } = run;
    const ended = { volume: input.volume, sourceNode, outcome, abortedByPerson: outcome === 'Aborted' && abortedByPerson };
    await tellFollowers(run, ended);
    return ended;
  });
}

async function drive(run: MigrationRun): Promise<MigrationOutcome> {
  const passed = new Set<Stage>();
  let next: Stage | MigrationOutcome = 'Observing';
  while (!isOutcome(next)) {
    // Only on coming round again: a new run begins with Observing, and each gets through once. Between two stages nothing is under way.
    const renew = passed.has(next) && workflowInfo().continueAsNewSuggested && !run.inbox.abort;
    if (renew) await continueAsNew<typeof migrateVolume>(run.input, [...run.inbox.followers], leaveBehind(run));
    passed.add(next);
    next = await runStage(run, next);
  }
  return next;
}

async function runStage(run: MigrationRun, stage: Stage): Promise<Stage | MigrationOutcome> {
  try {
    return await (NOT_ABORTABLE.includes(stage) ? STAGES[stage](run) : untilInterrupted(run, () => STAGES[stage](run)));
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    if (!MIRROR_ERRORS.includes(failure.reason) || run.pointOfNoReturn) return park(run, failure);
    run.lastFailure = failure;
    if (run.setbacks >= MAXIMUM_SETBACKS) {
      if (!run.begun || stage === 'LeavingTarget') return park(run, failure);
      run.leaving = { why: `no mirror to it comes about: ${failure.message}`, refusal: 'TargetLost', failure };
      return 'LeavingTarget';
    }
    await pauseAfterSetback(run);
    return 'Observing';
  }
}

/** Gives the work up as soon as an abort is wanted, or another target, unless the point of no return was passed. */
async function untilInterrupted(run: MigrationRun, work: () => Promise<Stage | MigrationOutcome>): Promise<Stage | MigrationOutcome> {
  const before = interruptionOf(run);
  if (before) return before;
  let ended = false;
  const scope = new CancellationScope();
  const working = scope.run(work).finally(() => {
    ended = true;
  });
  working.catch(() => undefined);
  await condition(() => ended || interruptionOf(run) !== undefined);
  if (!ended) scope.cancel();
  try {
    return await working;
  } catch (error) {
    const instead = isCancellation(error) ? interruptionOf(run) : undefined;
    if (instead) return instead;
    throw error;
  }
}

/** Where to go on instead of what is under way. */
function interruptionOf({ pointOfNoReturn, inbox, leaving }: MigrationRun): Stage | undefined {
  if (pointOfNoReturn) return undefined;
  if (inbox.abort) return 'Aborting';
  return leaving && 'LeavingTarget';
}

/** Runs something without end for as long as the work takes. */
async function beside<T>(companion: () => Promise<never>, work: () => Promise<T>): Promise<T> {
  const scope = new CancellationScope();
  const accompanying = scope.run(companion);
  accompanying.catch(() => undefined);
  try {
    return await Promise.race([accompanying, work()]);
  } finally {
    scope.cancel();
  }
}

/** Whoever asks to hear of the end while others are told hears of it too, as often as they ask. */
async function tellFollowers({ inbox: { followers } }: MigrationRun, ended: MigrationEnded): Promise<void> {
  for (const follower of followers) {
    followers.delete(follower);
    // One that is gone has nothing to be told.
    await getExternalWorkflowHandle(follower)
      .signal(migrationEndedSignal, ended)
      .catch(() => undefined);
  }
}

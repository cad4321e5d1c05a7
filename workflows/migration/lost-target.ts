/**
 * A target that fails in the middle of a move. It is waited for, because mostly it was restarted and comes back with all that was copied; then it is
 * left for another node, if one takes the volume.
 *
 *   its agent is away, and a step waits for it    --TARGET_LOST_MILLISECONDS--> left
 *   the two ends of the mirror do not meet        --TARGET_LOST_MILLISECONDS--> left
 *   no mirror comes about, as often as it is tried ----------------------------> left
 *
 * What leaving it means: leave-target.ts. After the point of no return the target has the volume, and nobody leaves it.
 */
import { TARGET_LOST_MILLISECONDS } from '../timings.ts';
import type { MigrationRun } from './run.ts';

/** @param away the node whose agent a step waits for. */
export function lookAfterTarget(run: MigrationRun, away: string | undefined): void {
  if (away === undefined || away !== run.target?.node || !mayLeaveTarget(run)) {
    delete run.targetAwaySince;
    return;
  }
  run.targetAwaySince ??= Date.now();
  if (targetLimit(run) <= 1) leave(run, 'its agent has been away');
}

/** Until the target is left, in milliseconds. */
export function targetLimit({ targetAwaySince }: MigrationRun): number {
  return targetAwaySince === undefined ? Number.POSITIVE_INFINITY : Math.max(targetAwaySince + TARGET_LOST_MILLISECONDS - Date.now(), 1);
}

/** A wait for a sync ends for lack of a connection within a minute; one that lasted longer has had one. */
const WITHOUT_CONNECTION_MILLISECONDS = 2 * 60_000;

/** The ends do not reach each other. @param askedAt when the wait for the sync began that says so. @returns whether the target is to be left. */
export function notePeerLost(run: MigrationRun, askedAt: number): boolean {
  const now = Date.now();
  if (run.peerLostSince === undefined || now - askedAt > WITHOUT_CONNECTION_MILLISECONDS) run.peerLostSince = now;
  if (now - run.peerLostSince >= TARGET_LOST_MILLISECONDS) leave(run, 'it has not been reached');
  return run.leaving !== undefined;
}

/** Before it was begun there is nothing to leave; then, until it has the volume. */
const mayLeaveTarget = ({ pointOfNoReturn, begun }: MigrationRun): boolean => !pointOfNoReturn && begun !== undefined;

function leave(run: MigrationRun, what: string): void {
  if (mayLeaveTarget(run)) run.leaving = { why: `${what} for ${TARGET_LOST_MILLISECONDS / 1000} s`, refusal: 'TargetLost' };
}

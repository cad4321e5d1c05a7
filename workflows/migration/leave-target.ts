/**
 * Another target is taken in the middle of a move. Room on it is reserved first, so that no copy is given up for nothing; then the source is exactly as
 * it was; then the lost node's share goes, or, if its agent is away, that takes it away when it is back (worker/agent/sweeper.ts).
 */
import type { Mirror } from '../../core/contracts/migration.ts';
import { discardTarget, restoreSource } from './abort.ts';
import { park } from './park.ts';
import { refusalsOfGivenUp, reserveRequest } from './place.ts';
import { report } from './report.ts';
import type { MigrationRun } from './run.ts';
import type { RunStage } from './stages.ts';
import { inCluster } from './steps.ts';
import { giveTurnBack } from './turn.ts';

export const leaveTarget: RunStage = async (run) => {
  const { target, begun, leaving } = run;
  // Whatever comes of it, the next target, or this one, is waited for anew.
  delete run.leaving;
  delete run.targetAwaySince;
  delete run.peerLostSince;
  if (!target || !leaving) return 'Observing';
  const { why, refusal, failure } = leaving;
  const request = reserveRequest(run, { ...refusalsOfGivenUp(run), [target.node]: refusal });
  const result = await inCluster(run, `reserve room on another node than ${target.node}`, (cluster) => cluster.reserveTarget(request));
  if (result.kind === 'refused') {
    if (failure) return park(run, failure);
    const { refusals } = result;
    await report(run, run.phase, `waits for ${target.node} (${why}), for no other node can take the volume`, {
      refusals,
      event: 'WaitingForTarget',
    });
    return run.closed ? 'CuttingOver' : 'AwaitingDetach';
  }

  const message = `${target.node} is given up for ${result.target.node}: ${why}`;
  if (begun && (await takeAway(run, begun, message, refusal)) === 'cutOver') {
    run.pointOfNoReturn = true;
    return 'CuttingOver';
  }
  await giveTurnBack(run);
  run.givenUp[target.node] = { refusal, at: Date.now() };
  delete run.begun;
  delete run.target;
  const pairing = begun && { pairing: begun.pairing + 1 };
  const nothing = { mirrorStands: false, verified: false, uncompared: [], closed: false, verifyClosed: false, setbacks: 0 };
  Object.assign(run, { ...pairing, ...nothing });
  await report(run, 'Reserving', message, { ...pairing, reason: refusal });
  return 'Reserving';
};

/** Of a mirror that was begun, both ends. @returns cutOver: it was marked already, and goes on. */
async function takeAway(run: MigrationRun, begun: Mirror, message: string, reason: string): Promise<'taken' | 'cutOver'> {
  await report(run, 'Preparing', message, { event: 'TargetGivenUp', reason });
  if ((await restoreSource(run, begun)) === 'cutOver') return 'cutOver';
  await discardTarget(run, begun);
  return 'taken';
}

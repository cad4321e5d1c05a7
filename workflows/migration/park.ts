/** A step has failed for good: the migration waits where it is, keeps all it has, and says why. */
import { condition } from '@temporalio/workflow';
import type { Failure } from '../failure.ts';
import { report } from './report.ts';
import type { ActivePhase, MigrationRun } from './run.ts';
import type { Stage } from './stages.ts';
import { tolerate } from './steps.ts';
import { giveTurnBack } from './turn.ts';

/**
 * Waits for a person's `retry` or, before the point of no return, `abort`; for what is no longer wanted; and, where looking helps, for news. Going on
 * always begins with a look at everything: a person may have changed anything meanwhile.
 */
export async function park(run: MigrationRun, failure: Failure): Promise<Stage> {
  const { inbox } = run;
  const parkedIn: ActivePhase = run.phase === 'NeedsAttention' ? (run.parkedIn ?? 'Pending') : run.phase;
  const { retries } = inbox;
  const { looks } = run;
  run.lastFailure = failure;
  run.parkedIn = parkedIn;
  const { reason, message } = failure;
  // The object may be what is wrong; then the Web UI alone says so.
  const refusal = await tolerate(run, () =>
    report(run, 'NeedsAttention', `${reason}: ${message}`, { parkedIn, reason, event: 'NeedsAttention' }),
  );
  await tolerate(run, () => giveTurnBack(run));
  // A finished run that was reset: what failed is of the past.
  if (refusal?.reason === 'StaleActivity') return 'Observing';

  const abortable = !run.pointOfNoReturn && parkedIn !== 'Aborting';
  const abortWanted = () => abortable && inbox.abort !== undefined;
  await condition(() => inbox.retries > retries || abortWanted() || (failure.lookHelps && run.looks > looks));
  return abortWanted() ? 'Aborting' : 'Observing';
}

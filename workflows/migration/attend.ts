/**
 * Looks at the objects while the phases do their work: is the move still wanted, is the agent there whose step is waited for, how far is the sync.
 *
 * A look follows every signal that something changed. Without one it follows at growing distances, so that a lost signal is made up for and hours of
 * syncing leave a short history; a migration whose phases are quick sees its end before the first of them.
 */
import { condition } from '@temporalio/workflow';
import type { VolumeFacts } from '../../core/contracts/cluster-activities.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import { FIRST_LOOK_MILLISECONDS, LONGEST_LOOK_MILLISECONDS, WAITING_LOOK_MILLISECONDS } from '../timings.ts';
import { show } from './display.ts';
import { lookAfterTarget, targetLimit } from './lost-target.ts';
import { reportObstacle } from './report.ts';
import type { MigrationRun } from './run.ts';
import { inCluster, tolerate } from './steps.ts';
import { giveTurnBack } from './turn.ts';

const WAITING_PHASES: readonly Phase[] = ['Reserving', 'AwaitingDetach'];

export async function look(run: MigrationRun): Promise<void> {
  const { input, sourceNode, ref } = run;
  run.facts = await inCluster(run, 'look at the objects', (cluster) =>
    cluster.observeVolume({ ...input, sourceNode, ...(ref && { ref }) }),
  );
  run.looks += 1;
  run.lookedAt = Date.now();
  if (!run.pointOfNoReturn) heed(run, run.facts);
  show(run);
}

/** What the objects say may end the move, or give it another target. */
function heed(run: MigrationRun, { unwanted, companions }: VolumeFacts): void {
  if (unwanted !== undefined) run.inbox.wantAbort({ message: `no longer wanted: ${unwanted}`, byPerson: false });
  const { takenBackWith, joins } = companions ?? {};
  if (takenBackWith) {
    const { volume, byPerson, message: why } = takenBackWith;
    const its = `the move of volume ${volume}, which moves with it`;
    run.inbox.wantAbort({ message: byPerson ? `a person aborted ${its}` : `${its}, is taken back: ${why}`, byPerson });
  }
  if (joins && run.target && joins.node !== run.target.node && !Object.hasOwn(run.givenUp, joins.node)) {
    run.leaving = { why: `volume ${joins.volume}, which moves with it, goes to ${joins.node}`, refusal: 'OtherVolumesElsewhere' };
  }
}

/** Runs beside the phases until its scope is cancelled. */
export async function attend(run: MigrationRun): Promise<never> {
  let pause = FIRST_LOOK_MILLISECONDS;
  for (let heard = run.inbox.news; ; ) {
    const { phase } = run;
    // A pause that was long for its phase is not for the next one.
    const interrupted = () => run.inbox.news > heard || (pause > FIRST_LOOK_MILLISECONDS && run.phase !== phase);
    const limit = pauseIn(run, phase, pause);
    const elapsed = limit === undefined ? await condition(interrupted).then(() => false) : !(await condition(interrupted, limit));
    const newsCame = run.inbox.news > heard;
    heard = run.inbox.news;
    pause = run.phase === phase ? Math.min(pause * 2, LONGEST_LOOK_MILLISECONDS) : FIRST_LOOK_MILLISECONDS;
    if (newsCame || (elapsed && run.phase === phase)) await lookAndTell(run);
  }
}

/** undefined: without limit. What is parked waits for a person, and for news. */
function pauseIn(run: MigrationRun, phase: Phase, pause: number): number | undefined {
  if (phase === 'NeedsAttention') return undefined;
  return Math.min(WAITING_PHASES.includes(phase) ? WAITING_LOOK_MILLISECONDS : pause, targetLimit(run));
}

/** A look that fails holds nothing up: the next one may succeed. */
async function lookAndTell(run: MigrationRun): Promise<void> {
  await tolerate(run, async () => {
    await look(run);
    const away = run.atWork.find((node) => run.facts?.agentAlive[node] === false);
    lookAfterTarget(run, away);
    await reportObstacle(run, away && `waits for the agent on ${away}`);
    if (away) await giveTurnBack(run);
  });
}

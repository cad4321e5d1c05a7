/**
 * Hands out turns to sync: one workflow for the whole cluster, because a limit at a node's queue would bound one end of a sync only. It ends when
 * nobody wants a turn, and is started again by the next request.
 */
import { condition, continueAsNew, getExternalWorkflowHandle, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import { workflowId } from '../core/contracts/names.ts';
import { describeTurns } from '../core/domain/progress.ts';
import { askForTurn, giveTurnBack, grantTurns, NO_TURNS, type Turns } from '../core/domain/turns.ts';
import { onCluster } from './activities.ts';
import { failureOf } from './failure.ts';
import { releaseTurnSignal, requestTurnSignal, turnGrantedSignal } from './messages.ts';
import { SlowNet } from './slow-net.ts';

/** @param before of the run before, where the history became too long. */
export async function limitSyncs(before: Turns = NO_TURNS): Promise<void> {
  let turns = before;
  let changes = 0;
  let trouble: string | undefined;
  const net = new SlowNet();
  setHandler(requestTurnSignal, (request, limits) => {
    changes += 1;
    turns = askForTurn(turns, request, limits);
  });
  setHandler(releaseTurnSignal, (volume) => {
    changes += 1;
    turns = giveTurnBack(turns, volume);
  });

  for (;;) {
    const seen = changes;
    const next = grantTurns(turns);
    turns = next.turns;
    setCurrentDetails(describeTurns(turns, trouble));
    await Promise.all(next.granted.map(({ volume, target }) => tellItsTurn(volume, target)));
    if (changes > seen) continue;
    if (turns.running.length + turns.waiting.length === 0) return;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof limitSyncs>(turns);
    if ((await condition(() => changes > seen, net.untilDue)) || !net.comesDue()) continue;
    // One that was terminated gives nothing back.
    try {
      for (const volume of await findEnded(turns)) turns = giveTurnBack(turns, volume);
      trouble = undefined;
    } catch (error) {
      const failure = failureOf(error);
      if (!failure) throw error;
      // Who has turns would be forgotten with this workflow; the next look may succeed.
      trouble = `${failure.reason}: ${failure.message}`;
    }
  }
}

/** One that runs no more is found by the slow net. */
async function tellItsTurn(volume: string, target: string): Promise<void> {
  await getExternalWorkflowHandle(workflowId.migrateVolume(volume))
    .signal(turnGrantedSignal, target)
    .catch(() => undefined);
}

async function findEnded({ running, waiting }: Turns): Promise<readonly string[]> {
  const volumes = [...running, ...waiting].map(({ volume }) => volume);
  const ended = await onCluster('which migrations run no more?', (cluster) => cluster.findEndedMigrations({ volumes }));
  return ended.map(({ volume }) => volume);
}

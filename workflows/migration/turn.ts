/**
 * A migration's turn to sync: wanted before its mirror is put in, given back when it stands still or has ended. The cut-over is in it:
 * a pod waits for that.
 *
 * Whoever waits for a target that does not answer or for an agent that is away holds up no other. What it takes up again without a turn, it does by
 * way of AwaitingDetach, where the next one is taken; only a closed volume goes on without, because its users wait for it. DRBD itself knows of no
 * turns: two nodes that find each other again sync at once.
 */
import { condition } from '@temporalio/workflow';
import type { TurnRequest } from '../../core/contracts/migration.ts';
import { report } from './report.ts';
import { type MigrationRun, required, requireFacts } from './run.ts';
import { inCluster, nextLook } from './steps.ts';

export function mayGoOn(run: MigrationRun): boolean {
  return run.closed || hasTurn(run);
}

function hasTurn({ turnWanted, inbox, target }: MigrationRun): boolean {
  return turnWanted && inbox.turnTo !== undefined && inbox.turnTo === target?.node;
}

/** @returns false: others sync; the world was looked at anew meanwhile. */
export async function takeTurn(run: MigrationRun): Promise<boolean> {
  const { inbox, sourceNode, input, looks } = run;
  const { node } = required(run.target, run, 'a target');
  if (hasTurn(run)) return true;
  // The one that was given back is given back first. Whether that succeeded is its own caller's to say.
  await run.turnReturned?.catch(() => undefined);
  run.turnWanted = true;
  inbox.turnTo = undefined;
  const request: TurnRequest = {
    volume: input.volume,
    source: sourceNode,
    target: node,
    ...(requireFacts(run).hasUsers && { hasUsers: true }),
  };
  const { perNode, perCluster } = await inCluster(run, 'ask for a turn to sync', (cluster) => cluster.requestTurn(request));
  if (await condition(() => hasTurn(run), FREE_TURN_MILLISECONDS)) return true;
  const limits = `${perNode} a node, ${perCluster} in the cluster`;
  const message = `waits for its turn to sync from ${sourceNode} to ${node} (at most ${limits})`;
  await report(run, 'AwaitingDetach', message, { event: 'WaitingForTurn' });
  await Promise.race([condition(() => hasTurn(run)), nextLook(run, looks)]);
  return hasTurn(run);
}

/** Where nobody is in the way the answer is there in an instant, and nothing need be said of a wait. */
const FREE_TURN_MILLISECONDS = 1000;

export async function giveTurnBack(run: MigrationRun): Promise<void> {
  const { inbox, input } = run;
  if (!run.turnWanted) return;
  inbox.turnTo = undefined;
  run.turnReturned = inCluster(run, 'give the turn to sync back', (cluster) => cluster.releaseTurn({ volume: input.volume }));
  await run.turnReturned;
  run.turnWanted = false;
}

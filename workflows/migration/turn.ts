/** A migration's turn to sync: wanted before its mirror is put in, given back when it stands still or has ended. */
import { condition } from '@temporalio/workflow';
import { report } from './report.ts';
import { type MigrationRun, required } from './run.ts';
import { inCluster, nextLook } from './steps.ts';

/** @returns false: others sync; the world was looked at anew meanwhile. */
export async function takeTurn(run: MigrationRun): Promise<boolean> {
  const { inbox, sourceNode, input } = run;
  const { node } = required(run.target, run, 'a target');
  const granted = () => inbox.turnTo === node;
  if (granted()) return true;
  run.turnWanted = true;
  const request = { volume: input.volume, source: sourceNode, target: node };
  const { perNode, perCluster } = await inCluster(run, 'ask for a turn to sync', (cluster) => cluster.requestTurn(request));
  if (await condition(granted, FREE_TURN_MILLISECONDS)) return true;
  const limits = `${perNode} a node, ${perCluster} in the cluster`;
  await report(run, 'AwaitingDetach', `waits for its turn to sync from ${sourceNode} to ${node} (at most ${limits})`);
  await Promise.race([condition(granted), nextLook(run)]);
  return granted();
}

/** Where nobody is in the way the answer is there in an instant, and nothing need be said of a wait. */
const FREE_TURN_MILLISECONDS = 2000;

export async function giveTurnBack(run: MigrationRun): Promise<void> {
  const { inbox, input } = run;
  if (!run.turnWanted) return;
  run.turnWanted = false;
  inbox.turnTo = undefined;
  await inCluster(run, 'give the turn to sync back', (cluster) => cluster.releaseTurn({ volume: input.volume }));
}

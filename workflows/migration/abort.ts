/** A migration is taken back: the source is exactly as it was, first, because its users wait for it; then what was made elsewhere goes. */
import { CancellationScope, condition } from '@temporalio/workflow';
import type { Mirror } from '../../core/contracts/migration.ts';
import { failureOf } from '../failure.ts';
import { AGENT_LOOK_MILLISECONDS } from '../timings.ts';
import { look } from './attend.ts';
import { report } from './report.ts';
import { type MigrationRun, requireRef } from './run.ts';
import type { RunStage } from './stages.ts';
import { control, inCluster } from './steps.ts';

export const takeBack: RunStage = async (run) => {
  const { abort } = run.inbox;
  const ref = requireRef(run);
  run.abortedByPerson ||= abort?.byPerson === true;
  await report(run, 'Aborting', abort?.message ?? 'takes back what was begun', { abortedByPerson: run.abortedByPerson });

  const { begun, target } = run;
  if (begun && (await restoreSource(run, begun)) === 'cutOver') {
    run.pointOfNoReturn = true;
    return 'CuttingOver';
  }
  // A target that was given up was cleaned then.
  const clean = begun && target ? await discardTarget(run, begun) : true;
  await inCluster(run, 'release the room on the target', (cluster) => cluster.releaseReservation({ ref }));
  const left = clean ? '' : `; the agent on ${target?.node} is away and removes its share when it returns`;
  await report(run, 'Aborted', `${abort?.message ?? 'taken back'}${left}`, { event: 'MigrationAborted' });
  return 'Aborted';
};

/** @returns cutOver: it was marked already, and is not given back. */
export async function restoreSource(run: MigrationRun, mirror: Mirror): Promise<'restored' | 'cutOver'> {
  const { node } = mirror.source;
  const deleted = run.facts !== undefined && run.facts.localVolume === undefined;
  try {
    await control(run, node, `restore the volume on ${node}`, (agent) => agent.restoreSource({ mirror, ...(deleted && { deleted }) }));
    return 'restored';
  } catch (error) {
    if (failureOf(error)?.reason !== 'PointOfNoReturnPassed') throw error;
    return 'cutOver';
  }
}

/** @returns false where the target's agent is away: nobody waits for it, it sweeps its node when it returns. */
export async function discardTarget(run: MigrationRun, mirror: Mirror): Promise<boolean> {
  const { node } = mirror.target;
  const away = async () => {
    await look(run);
    return run.facts?.agentAlive[node] === false;
  };
  if (await away()) return false;

  let ended = false;
  const scope = new CancellationScope();
  const discarding = scope
    .run(() => control(run, node, `remove what was made on ${node}`, (agent) => agent.discardTarget({ mirror })))
    .finally(() => {
      ended = true;
    });
  discarding.catch(() => undefined);
  while (!(await condition(() => ended, AGENT_LOOK_MILLISECONDS))) {
    if (!(await away()) || ended) continue;
    scope.cancel();
    return false;
  }
  await discarding;
  return true;
}

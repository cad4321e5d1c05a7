/** Before anything is made: where the volume goes, and that nobody uses it any more. */
import type { ReserveRequest, VolumeFacts } from '../../core/contracts/cluster-activities.ts';
import type { Refusal } from '../../core/contracts/reasons.ts';
import { GIVEN_UP_MILLISECONDS } from '../timings.ts';
import { tend } from './mirror.ts';
import { report } from './report.ts';
import { type MigrationRun, requireFacts, requireRef } from './run.ts';
import type { RunStage } from './stages.ts';
import { inCluster, nextLook } from './steps.ts';
import { giveTurnBack, takeTurn } from './turn.ts';

export const reserve: RunStage = async (run) => {
  const { looks } = run;
  const request = reserveRequest(run, refusalsOfGivenUp(run));
  const result = await inCluster(run, 'reserve room on a node', (cluster) => cluster.reserveTarget(request));
  run.unfit = result.kind === 'reserved' ? result.unfit : undefined;
  if (result.kind === 'reserved') {
    run.target = result.target;
    return 'AwaitingDetach';
  }
  await report(run, 'Reserving', 'no node can take the volume', { refusals: result.refusals, event: 'WaitingForTarget' });
  await nextLook(run, looks);
  return 'Reserving';
};

export function reserveRequest(run: MigrationRun, givenUp: Record<string, Refusal>): ReserveRequest {
  const { sourceNode, pool = '', sizeBytes = 0, thin } = run;
  return { ref: requireRef(run), sourceNode, pool, sizeBytes, ...(thin && { thin }), givenUp };
}

/** Of the nodes that were given up not long ago. */
export function refusalsOfGivenUp({ givenUp }: MigrationRun): Record<string, Refusal> {
  for (const [node, { at }] of Object.entries(givenUp)) {
    if (Date.now() - at >= GIVEN_UP_MILLISECONDS) delete givenUp[node];
  }
  return Object.fromEntries(Object.entries(givenUp).map(([node, { refusal }]) => [node, refusal]));
}

/**
 * Until nobody uses the volume; but where its users need not go for that, its copy is made and proven beside them. Also where the mirror stands and
 * somebody uses the volume again: what they write goes through it.
 */
export const awaitDetach: RunStage = async (run) => {
  const { looks, target } = run;
  const facts = requireFacts(run);
  const isFree = facts.heldBy.length === 0;
  if (run.verified && mayLeave(facts)) return 'CuttingOver';
  if (!run.verified && (isFree || (facts.online && !run.verifyClosed))) return (await takeTurn(run)) ? 'Preparing' : 'AwaitingDetach';
  await giveTurnBack(run);
  const entered = run.phase !== 'AwaitingDetach' && target ? { target } : {};
  const ready = run.verified ? `has a proven copy on ${target?.node} that is kept alike, and ` : '';
  const event = isFree ? 'WaitingForOtherVolumes' : 'WaitingForDetach';
  await report(run, 'AwaitingDetach', `${ready}waits for ${whatIsAwaited(facts)}`, { ...entered, event });
  await nextLook(run, looks);
  return (run.verified && (await tend(run))) || 'AwaitingDetach';
};

/** Nobody uses it, and the other volumes of its pods are ready to leave with it. */
export function mayLeave({ heldBy, companions }: VolumeFacts): boolean {
  return heldBy.length === 0 && (companions?.awaits.length ?? 0) === 0;
}

/** Its own users first: most often the other volumes have them, too. */
function whatIsAwaited({ heldBy, companions }: VolumeFacts): string {
  return heldBy.length > 0 ? `${heldBy.join(', ')} to let go` : (companions?.awaits ?? []).join(', ');
}

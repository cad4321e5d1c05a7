/**
 * Moves the volumes of an evicted pod to another node, while the pods that would use them meanwhile are kept from being scheduled.
 *
 * Level-triggered as a node's eviction is: signals say "look again", and what is to be done follows from what the claims say and from what runs. It ends
 * when all volumes have moved, as soon as they cannot, or when one does not come forward for a while (core/domain/standstill.ts); a migration of this
 * eviction that has not begun to cut over is taken back then, because no claim wants it any more.
 */
import { condition, continueAsNew, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { PodEvictionFacts } from '../core/contracts/cluster-activities.ts';
import type { EvictPodInput } from '../core/contracts/migration.ts';
import { follow, unfollow } from '../core/domain/followed-migrations.ts';
import {
  NOTHING_REMEMBERED,
  type PodEvictionEnd,
  type PodEvictionMemory,
  planPodEviction,
  rememberEnd,
  rememberLook,
  untilGivenUp,
} from '../core/domain/pod-eviction-plan.ts';
import { describePodEviction } from '../core/domain/progress.ts';
import { onCluster } from './activities.ts';
import { attempt, findEnded, startMigration, succeeds, tellToLookAgain } from './eviction-steps.ts';
import { migrationEndedSignal, podChangedSignal } from './messages.ts';
import { SlowNet } from './slow-net.ts';
import { STANDSTILL_MILLISECONDS } from './timings.ts';

interface Eviction {
  readonly input: EvictPodInput;
  remembered: PodEvictionMemory;
  /** Rises with every signal. */
  changes: number;
  /** As the last look found it; undefined: none has succeeded. */
  facts?: PodEvictionFacts;
  /** What failed since the last look began, and why. */
  troubles: string[];
}

/** @param memory of the run before, where the history became too long. Of an older controller's run it may lack something. */
export async function evictPod(input: EvictPodInput, memory: Partial<PodEvictionMemory> = {}): Promise<void> {
  const eviction: Eviction = { input, remembered: { ...NOTHING_REMEMBERED, ...memory }, changes: 0, troubles: [] };
  setHandler(podChangedSignal, () => {
    eviction.changes += 1;
    eviction.remembered = { ...eviction.remembered, idle: [] };
  });
  setHandler(migrationEndedSignal, (ended) => {
    eviction.changes += 1;
    eviction.remembered = rememberEnd(eviction.remembered, input.node, ended);
  });

  const net = new SlowNet();
  for (;;) {
    const seen = eviction.changes;
    if (await look(eviction, seen)) return;
    show(eviction);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof evictPod>(input, eviction.remembered);
    await condition(() => eviction.changes > seen, Math.min(net.untilDue, untilGivenUp(eviction.remembered, STANDSTILL_MILLISECONDS)));
    if (net.comesDue()) await forgetEnded(eviction);
  }
}

/** @returns whether the eviction has ended. */
async function look(eviction: Eviction, seen: number): Promise<boolean> {
  const { input } = eviction;
  eviction.troubles = [];
  const facts = await attempt(eviction, 'look at the claims', (summary) =>
    onCluster(
      summary,
      (cluster) => cluster.observePodEviction(input),
      (waits) => show(eviction, waits),
    ),
  );
  if (!facts) return false;
  eviction.facts = facts;
  eviction.remembered = rememberLook(eviction.remembered, facts, Date.now());
  const plan = planPodEviction(input.node, facts, eviction.remembered, STANDSTILL_MILLISECONDS);
  show(eviction);
  if (plan.end) return eviction.changes === seen && end(eviction, plan.end);
  await startAll(eviction, plan.start);
  return false;
}

async function startAll(eviction: Eviction, volumes: readonly string[]): Promise<void> {
  const { input, remembered } = eviction;
  if (volumes.length > 0 && !remembered.begun) {
    const message = `moves ${volumes.join(', ')} away from ${input.node}`;
    await attempt(eviction, 'tell that it has begun', (summary) =>
      onCluster(summary, (cluster) => cluster.reportPodEviction({ ...input, event: 'PodEvictionStarted', message })),
    );
    eviction.remembered = { ...eviction.remembered, begun: true };
  }
  await Promise.all(volumes.map((volume) => move(eviction, volume)));
}

async function move(eviction: Eviction, volume: string): Promise<void> {
  // Beforehand: its end may be heard before its start is.
  eviction.remembered = follow(eviction.remembered, volume);
  const started = await startMigration(eviction, { volume, sourceNode: eviction.input.node, trigger: 'pod-eviction' });
  if (!started) eviction.remembered = unfollow(eviction.remembered, volume);
}

/** @returns whether all of it was done: the next look finds what is left. */
async function end(eviction: Eviction, { event, message }: PodEvictionEnd): Promise<boolean> {
  const { input, remembered } = eviction;
  const done = await succeeds(eviction, 'end the eviction', async (summary) => {
    if (event) await onCluster(summary, (cluster) => cluster.reportPodEviction({ ...input, event, message }));
    await onCluster(summary, (cluster) => cluster.endPodEviction(input));
  });
  if (!done) return false;
  // No claim wants them any more, unless another pod does.
  await Promise.all(remembered.following.map(tellToLookAgain));
  return true;
}

async function forgetEnded(eviction: Eviction): Promise<void> {
  const ended = await findEnded(eviction, eviction.remembered.following);
  eviction.remembered = { ...eviction.remembered, idle: [] };
  for (const one of ended) eviction.remembered = rememberEnd(eviction.remembered, eviction.input.node, one);
}

function show({ input: { pod, node }, facts, troubles }: Eviction, waitsForApiServer = false): void {
  setCurrentDetails(
    describePodEviction({ pod: `${pod.namespace}/${pod.name}`, node, troubles, waitsForApiServer, ...(facts && { facts }) }),
  );
}

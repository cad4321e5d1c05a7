/**
 * Moves all volumes off a node, for as long as it is cordoned and its label does not say otherwise.
 *
 * Level-triggered: every signal only says "look again". What is to be done follows from a look at the node and from what runs, so cordon, uncordon and
 * cordon in quick succession end right. The last step is such a look too, and the server does not let a workflow end while a signal is unhandled.
 */
import { condition, continueAsNew, getExternalWorkflowHandle, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { NodeEvictionFacts } from '../core/contracts/cluster-activities.ts';
import type { EvictNodeInput, MigrationEnded } from '../core/contracts/migration.ts';
import { workflowId } from '../core/contracts/names.ts';
import type { EventReason } from '../core/contracts/reasons.ts';
import {
  type EvictionMemory,
  type EvictionPlan,
  NOTHING_REMEMBERED,
  planEviction,
  rememberEnd,
  rememberLook,
} from '../core/domain/eviction-plan.ts';
import { describeEviction } from '../core/domain/progress.ts';
import { onCluster } from './activities.ts';
import { lookAgainSignal, migrationEndedSignal, nodeChangedSignal } from './messages.ts';
import { SLOW_NET_MILLISECONDS } from './timings.ts';

/** @param memory of the run before, where the history became too long. */
export async function evictNode({ node }: EvictNodeInput, memory: EvictionMemory = NOTHING_REMEMBERED): Promise<void> {
  let remembered = memory;
  let changes = 0;
  setHandler(nodeChangedSignal, () => {
    changes += 1;
    remembered = { ...remembered, idle: [] };
  });
  setHandler(migrationEndedSignal, (ended) => {
    changes += 1;
    remembered = rememberEnd(remembered, node, ended);
  });

  for (;;) {
    const seen = changes;
    const facts = await onCluster(`look at ${node}`, (cluster) => cluster.observeNodeEviction({ node }));
    const plan = planEviction(facts, remembered);
    remembered = rememberLook(remembered, facts);
    setCurrentDetails(describeEviction({ node, facts, held: plan.held }));
    if (plan.over && !plan.report && changes === seen) return;

    remembered = { ...remembered, following: [...remembered.following, ...plan.start], begun: remembered.begun || plan.start.length > 0 };
    await act(node, facts, plan);
    if (plan.over) remembered = { ...remembered, begun: false };
    else if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof evictNode>({ node }, remembered);
    else if (!(await condition(() => changes > seen, SLOW_NET_MILLISECONDS))) {
      const ended = await findEnded(remembered.following);
      remembered = { ...remembered, idle: [] };
      for (const end of ended) remembered = rememberEnd(remembered, node, end);
    }
  }
}

async function act(node: string, facts: NodeEvictionFacts, { start, nudge, report, held }: EvictionPlan): Promise<void> {
  const message = report && messageOf(report, facts, start, held);
  await Promise.all([
    ...(report && message
      ? [onCluster(`report ${report}`, (cluster) => cluster.reportNodeEviction({ node, event: report, message }))]
      : []),
    ...start.map((volume) => startMigration(node, volume)),
    ...nudge.map(tellToLookAgain),
  ]);
}

function startMigration(node: string, volume: string): Promise<void> {
  const { workflowId: follower } = workflowInfo();
  const input = { volume, sourceNode: node, trigger: 'node-drain' } as const;
  return onCluster(`move ${volume}`, (cluster) => cluster.startMigration({ ...input, follower }));
}

/** One that runs no more is found by the slow net. */
async function tellToLookAgain(volume: string): Promise<void> {
  await getExternalWorkflowHandle(workflowId.migrateVolume(volume))
    .signal(lookAgainSignal)
    .catch(() => undefined);
}

async function findEnded(volumes: readonly string[]): Promise<readonly MigrationEnded[]> {
  if (volumes.length === 0) return [];
  return onCluster('which migrations run no more?', (cluster) => cluster.findEndedMigrations({ volumes }));
}

function messageOf(report: EventReason, facts: NodeEvictionFacts, start: readonly string[], held: readonly string[]): string {
  const kept = held.length > 0 ? `; held back by a person: ${held.join(', ')}` : '';
  if (report === 'EvictionStarted') return `moves ${start.length} volumes to other nodes${kept}`;
  if (report === 'EvictionCompleted') return `all volumes have moved to other nodes${kept}`;
  return facts.exists ? 'the volumes stay: the node is to be emptied no longer' : 'the node is gone';
}

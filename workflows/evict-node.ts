/**
 * Moves all volumes off a node, for as long as it is cordoned and its label does not say otherwise.
 *
 * Level-triggered: every signal only says "look again". What is to be done follows from a look at the node and from what runs, so cordon, uncordon and
 * cordon in quick succession end right. The last step is such a look too, and the server does not let a workflow end while a signal is unhandled.
 * A step that fails ends nothing: people are shown what failed, and the next look plans it again.
 */
import { condition, continueAsNew, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { NodeEvictionFacts } from '../core/contracts/cluster-activities.ts';
import type { EvictNodeInput } from '../core/contracts/migration.ts';
import type { EventReason } from '../core/contracts/reasons.ts';
import {
  type EvictionMemory,
  type EvictionPlan,
  NOTHING_REMEMBERED,
  planEviction,
  rememberEnd,
  rememberLook,
  rememberStart,
} from '../core/domain/eviction-plan.ts';
import { unfollow } from '../core/domain/followed-migrations.ts';
import { delayInWords, describeEviction } from '../core/domain/progress.ts';
import { inWords } from '../core/domain/stay.ts';
import { onCluster } from './activities.ts';
import { attempt, findEnded, startMigration, succeeds, tellToLookAgain } from './eviction-steps.ts';
import { migrationEndedSignal, nodeChangedSignal } from './messages.ts';
import { SlowNet } from './slow-net.ts';

interface Eviction {
  readonly node: string;
  remembered: EvictionMemory;
  /** Rises with every signal. */
  changes: number;
  /** As the last look found the node; undefined: none has succeeded. */
  facts?: NodeEvictionFacts;
  /** Volumes that a person holds back. */
  held: readonly string[];
  /** Until then nothing is begun, in milliseconds since 1970; undefined: nothing waits for that. */
  waitsUntil: number | undefined;
  /** What failed since the last look began, and why. */
  troubles: string[];
}

/** More of them at once, and a server that limits requests refuses some. */
const STARTED_TOGETHER = 10;

/** @param memory of the run before, where the history became too long. */
export async function evictNode({ node }: EvictNodeInput, memory: EvictionMemory = NOTHING_REMEMBERED): Promise<void> {
  const eviction: Eviction = { node, remembered: memory, changes: 0, held: [], waitsUntil: undefined, troubles: [] };
  setHandler(nodeChangedSignal, () => {
    eviction.changes += 1;
    eviction.remembered = { ...eviction.remembered, idle: [] };
  });
  setHandler(migrationEndedSignal, (ended) => {
    eviction.changes += 1;
    eviction.remembered = rememberEnd(eviction.remembered, node, ended);
  });

  const net = new SlowNet();
  for (;;) {
    const seen = eviction.changes;
    const next = await look(eviction, seen);
    if (next === 'end') return;
    if (next === 'look') continue;
    show(eviction);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof evictNode>({ node }, eviction.remembered);
    await condition(() => eviction.changes > seen, Math.min(untilWanted(eviction), net.untilDue));
    if (net.comesDue()) await forgetEnded(eviction);
  }
}

/** Until the node has been cordoned for long enough, in milliseconds. */
function untilWanted({ waitsUntil = Number.POSITIVE_INFINITY }: Eviction): number {
  return Math.max(waitsUntil - Date.now(), 1);
}

/** Looks at the node and does what is to be done. @returns what then: another look at once, or after the next signal or a while. */
async function look(eviction: Eviction, seen: number): Promise<'end' | 'look' | 'wait'> {
  const { node } = eviction;
  eviction.troubles = [];
  const facts = await attempt(eviction, `look at ${node}`, (summary) =>
    onCluster(
      summary,
      (cluster) => cluster.observeNodeEviction({ node }),
      (waits) => show(eviction, waits),
    ),
  );
  if (!facts) return 'wait';
  const now = Date.now();
  const plan = planEviction(facts, eviction.remembered, now);
  eviction.remembered = rememberLook(eviction.remembered, facts, now);
  Object.assign(eviction, { facts, held: plan.held, waitsUntil: plan.waitsUntil });
  show(eviction);
  if (plan.over && !plan.report && eviction.changes === seen) return 'end';

  const told = await act(eviction, facts, plan, seen);
  if (!plan.over || !told) return 'wait';
  eviction.remembered = { ...eviction.remembered, begun: false };
  return 'look';
}

/** @returns whether the Event that was due has been told. */
async function act(eviction: Eviction, facts: NodeEvictionFacts, plan: EvictionPlan, seen: number): Promise<boolean> {
  const { report, start, nudge } = plan;
  const [told] = await Promise.all([
    report === undefined || tellEvent(eviction, report, messageOf(report, facts, plan)),
    startAll(eviction, start, seen),
    ...nudge.map(tellToLookAgain),
  ]);
  return told;
}

function tellEvent(eviction: Eviction, event: EventReason, message: string): Promise<boolean> {
  const { node } = eviction;
  return succeeds(eviction, `report ${event}`, (summary) =>
    onCluster(summary, (cluster) => cluster.reportNodeEviction({ node, event, message })),
  );
}

/** Some at every look, however much changes; what is left when something has changed is for the next look to plan. */
async function startAll(eviction: Eviction, volumes: readonly string[], seen: number): Promise<void> {
  const left = [...volumes];
  const startOneByOne = async () => {
    do {
      const volume = left.shift();
      if (volume === undefined) return;
      await move(eviction, volume);
    } while (eviction.changes === seen);
  };
  await Promise.all(Array.from({ length: STARTED_TOGETHER }, startOneByOne));
}

async function move(eviction: Eviction, volume: string): Promise<void> {
  // Beforehand: its end may be heard before its start is.
  eviction.remembered = rememberStart(eviction.remembered, volume);
  const started = await startMigration(eviction, { volume, sourceNode: eviction.node, trigger: 'node-drain' });
  if (!started) eviction.remembered = unfollow(eviction.remembered, volume);
}

async function forgetEnded(eviction: Eviction): Promise<void> {
  const ended = await findEnded(eviction, eviction.remembered.following);
  eviction.remembered = { ...eviction.remembered, idle: [] };
  for (const end of ended) eviction.remembered = rememberEnd(eviction.remembered, eviction.node, end);
}

function show({ node, facts, held, waitsUntil, troubles }: Eviction, waitsForApiServer = false): void {
  const known = { ...(facts && { facts }), ...(waitsUntil !== undefined && { waitsUntil }) };
  setCurrentDetails(describeEviction({ node, held, troubles, waitsForApiServer, ...known }));
}

function messageOf(report: EventReason, facts: NodeEvictionFacts, { start, held, waitsUntil }: EvictionPlan): string {
  const kept = [
    ...(held.length > 0 ? [`; held back by a person: ${held.join(', ')}`] : []),
    ...facts.volumes.flatMap(({ volume, stays }) => (stays ? [`; ${inWords(volume, stays)}`] : [])),
  ].join('');
  if (report === 'EvictionDelayed' && waitsUntil !== undefined) return `the volumes move ${delayInWords(waitsUntil)}${kept}`;
  if (report === 'EvictionStarted') return `moves ${start.length} volumes to other nodes${kept}`;
  if (report === 'EvictionCompleted') return `all volumes have moved to other nodes${kept}`;
  return facts.exists ? 'the volumes stay: the node is to be emptied no longer' : 'the node is gone';
}

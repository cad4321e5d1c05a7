/** What the world is told of a migration: its LocalVolumeMigrate, and Temporal's search attributes. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { upsertSearchAttributes } from '@temporalio/workflow';
import type { ClusterActivities, PhaseReport } from '../../core/contracts/cluster-activities.ts';
import { SearchAttribute } from '../../core/contracts/names.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import { show } from './display.ts';
import { type MigrationRun, requireRef } from './run.ts';
import { inCluster } from './steps.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
const VOLUME = keyword(SearchAttribute.volume);
const SOURCE_NODE = keyword(SearchAttribute.sourceNode);
const TARGET_NODE = keyword(SearchAttribute.targetNode);
const PHASE = keyword(SearchAttribute.phase);
const TRIGGER = keyword(SearchAttribute.trigger);

/** The run appears in lists from its first task on. */
export function introduce(run: MigrationRun): void {
  upsertSearchAttributes([
    { key: VOLUME, value: run.input.volume },
    { key: SOURCE_NODE, value: run.input.sourceNode },
    { key: TRIGGER, value: run.input.trigger },
    { key: PHASE, value: run.phase },
  ]);
  show(run);
}

type ReportedFacts = Omit<PhaseReport, 'ref' | 'phase' | 'message'>;

/** Enters a phase, or says something new in it. What was said already is not said again. */
export async function report(run: MigrationRun, phase: Phase, message: string, facts: ReportedFacts = {}): Promise<void> {
  const { event, refusals, reason, parkedIn, ...durable } = facts;
  const same = phase === run.phase && message === run.message && JSON.stringify(refusals) === JSON.stringify(run.refusals);
  const said = same && Object.keys(durable).length === 0;
  if (phase !== run.phase) {
    upsertSearchAttributes([
      { key: PHASE, value: phase },
      // A target that was given up is none.
      { key: TARGET_NODE, value: run.target?.node ?? null },
    ]);
  }
  Object.assign(run, { phase, message, doing: message, reason: reason ?? event, refusals });
  show(run);
  const ref = requireRef(run);
  const told = { ref, phase, message, ...standingFacts(run), ...facts };
  if (!said) await inTurn(run, (cluster) => cluster.reportPhase(told));
}

/** Says in the same phase why it waits; without an obstacle, what it does. */
export async function reportObstacle(run: MigrationRun, obstacle: string | undefined): Promise<void> {
  const { ref, phase, parkedIn, message: said } = run;
  const message = obstacle ?? run.doing;
  if (message === said || !ref) return;
  run.message = message;
  show(run);
  const parked = phase === 'NeedsAttention' && parkedIn && { parkedIn };
  const reason = obstacle === undefined && run.reason !== undefined && { reason: run.reason };
  const told = { ref, phase, message, ...reason, ...standingFacts(run), ...parked };
  await inTurn(run, async (cluster) => {
    if (run.phase === phase) await cluster.reportPhase(told);
  });
}

/** What holds whatever is reported. */
function standingFacts({ unfit, verified: proven }: MigrationRun): ReportedFacts {
  return { proven, ...(unfit && { unfit }) };
}

/** One after another: agents take their permissions from the phase that is written last. */
async function inTurn(run: MigrationRun, write: (cluster: ClusterActivities) => Promise<void>): Promise<void> {
  const before = run.reporting;
  const own = before.then(() => inCluster(run, 'report', write));
  run.reporting = own.catch(() => undefined);
  await own;
}

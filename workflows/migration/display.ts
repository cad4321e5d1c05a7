/** What Temporal's Web UI shows of a migration, and what it answers to `progress`. */
import { setCurrentDetails } from '@temporalio/workflow';
import type { MigrationProgress } from '../../core/contracts/migration.ts';
import { describeMigration } from '../../core/domain/progress.ts';
import type { MigrationRun } from './run.ts';

export function show(run: MigrationRun): void {
  const { facts, lastFailure, pointOfNoReturn, refusals, outages, lookedAt } = run;
  setCurrentDetails(
    describeMigration({
      ...progressOf(run),
      abortable: !pointOfNoReturn,
      waitsForApiServer: outages > 0,
      ...(facts?.percent !== undefined && { done: { percent: facts.percent, at: lookedAt } }),
      ...(refusals && { refusals }),
      ...(lastFailure && { lastFailure: `${lastFailure.reason}: ${lastFailure.message}` }),
    }),
  );
}

export function progressOf({ input, phase, sourceNode, target, message }: MigrationRun): MigrationProgress {
  return { volume: input.volume, phase, sourceNode, ...(target && { targetNode: target.node }), message };
}

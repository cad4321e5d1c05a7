/** A run goes from stage to stage: the phases, before them a look at what stands, between them the way to another target, and at the end an outcome. */
import type { MigrationOutcome } from '../../core/contracts/migration.ts';
import type { ActivePhase, MigrationRun } from './run.ts';

export type Stage = 'Observing' | 'LeavingTarget' | Exclude<ActivePhase, MigrationOutcome>;

/** Does a stage's work and says what is next. It may be given up at any await, and begun again at will. */
export type RunStage = (run: MigrationRun) => Promise<Stage | MigrationOutcome>;

export function isOutcome(next: Stage | MigrationOutcome): next is MigrationOutcome {
  return next === 'Completed' || next === 'Aborted' || next === 'NothingToMove';
}

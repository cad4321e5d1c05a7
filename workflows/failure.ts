/** Why a step did not succeed, as people and the workflow's decisions see it. */
import { ActivityFailure, ApplicationFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import { PERMANENT_ERRORS, type PermanentError } from '../core/contracts/reasons.ts';
import type { BadInput } from '../core/domain/source-check.ts';

export interface Failure {
  /** A type of `reasons.ts`, or the kind of a time limit. */
  readonly reason: string;
  readonly message: string;
  readonly permanent: boolean;
  /** A new look at the world may find its cause gone. */
  readonly lookHelps: boolean;
}

/** What the workflow itself found to be wrong. */
export class MigrationFailure extends Error {
  override readonly name = 'MigrationFailure';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

export function badInput({ reason, message }: BadInput): MigrationFailure {
  return new MigrationFailure({ reason, message, permanent: true, lookHelps: true });
}

/** Refusals whose cause may go by itself. */
const PASSING: readonly string[] = ['PersistentVolumeRefused' satisfies PermanentError];

/** @returns undefined for what is no failure of a step: a cancellation, or a mistake in the workflow's own code. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof MigrationFailure) return error.failure;
  if (!(error instanceof ActivityFailure) || isCancellation(error)) return undefined;
  const { cause, activityType } = error;
  if (cause instanceof ApplicationFailure) {
    const reason = cause.type ?? 'Error';
    const permanent = cause.nonRetryable === true || (PERMANENT_ERRORS as readonly string[]).includes(reason);
    return { reason, message: `${activityType}: ${cause.message}`, permanent, lookHelps: PASSING.includes(reason) };
  }
  const reason = cause instanceof TimeoutFailure ? `Timeout${cause.timeoutType}` : 'Error';
  return { reason, message: `${activityType}: ${cause?.message ?? error.message}`, permanent: false, lookHelps: false };
}

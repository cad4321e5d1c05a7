/** Errors of node activities: ApplicationFailures whose type is a reason from the one list. */
import { ApplicationFailure } from '@temporalio/common';
import { PERMANENT_ERRORS, type PermanentError, type TransientError } from '../../core/contracts/reasons.ts';

/** @returns what to throw; whether it is retried follows from its type. */
export function failure(type: PermanentError | TransientError, message: string, cause?: unknown): ApplicationFailure {
  const nonRetryable = (PERMANENT_ERRORS as readonly string[]).includes(type);
  return ApplicationFailure.create({ type, message, nonRetryable, ...(cause instanceof Error && { cause }) });
}

export function isFailure(error: unknown, type: PermanentError | TransientError): boolean {
  return error instanceof ApplicationFailure && error.type === type;
}

/**
 * What an activity's error is to the workflow: an ApplicationFailure whose type is a stable reason.
 *
 * Activities throw such failures themselves where they know what is wrong. What comes up from below them, from a program or the API server, gets
 * its type here; all of it is worth another attempt, because none of it says that the next one must fail. An API server that does not answer is waited
 * for without end, one that refuses is not: an answer that stays the same is for a person to read.
 */
import { ApplicationFailure } from '@temporalio/common';
import { ZodError, z } from 'zod';
import type { PermanentError, TransientError } from '../core/contracts/reasons.ts';
import { CommandError } from '../system/command.ts';
import { LockTimeoutError } from '../system/file-lock.ts';
import { KubeError } from '../system/kube/errors.ts';

/** @returns what to throw instead; errors of other kinds, cancellation among them, as they are. */
export function toActivityError(error: unknown): unknown {
  if (error instanceof CommandError) return transient('CommandFailed', error);
  if (error instanceof LockTimeoutError) return transient('LockTimeout', error);
  if (error instanceof KubeError) return transient(isOutage(error) ? 'ApiUnavailable' : 'ApiRefused', error);
  if (error instanceof ZodError) return ApplicationFailure.nonRetryable(z.prettifyError(error), 'InvalidArgument' satisfies PermanentError);
  return error;
}

/**
 * No answer, too many requests, or an error of the server's own. Anything else was understood and refused: a conflict with another writer, or what a
 * server that has just started does not know yet (403, before it has read its roles), which a few attempts mend; or something that none mends.
 */
function isOutage({ status }: KubeError): boolean {
  return status === undefined || status === 429 || status >= 500;
}

function transient(type: TransientError, cause: Error): ApplicationFailure {
  return ApplicationFailure.create({ type, message: cause.message, nonRetryable: false, cause });
}

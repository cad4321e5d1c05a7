/**
 * What an activity's error is to the workflow: an ApplicationFailure whose type is a stable reason.
 *
 * Activities throw such failures themselves where they know what is wrong. What comes up from below them, from a program or the API server, gets
 * its type here; all of it is worth another attempt, because none of it says that the next one must fail.
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
  if (error instanceof KubeError) return transient('ApiUnavailable', error);
  if (error instanceof ZodError) return ApplicationFailure.nonRetryable(z.prettifyError(error), 'InvalidArgument' satisfies PermanentError);
  return error;
}

function transient(type: TransientError, cause: Error): ApplicationFailure {
  return ApplicationFailure.create({ type, message: cause.message, nonRetryable: false, cause });
}

/** Failures that another attempt would only repeat. Everything else that activities throw is worth another attempt. */
import { ApplicationFailure } from '@temporalio/common';
import type { PermanentError } from '../../core/contracts/reasons.ts';

export function permanent(reason: PermanentError, message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, reason);
}

/** Waiting, at start, for servers that are not there yet. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMilliseconds } from '../system/kube/backoff.ts';
import type { Logger } from './logging.ts';

const BACKOFF = { minimumMilliseconds: 250, maximumMilliseconds: 5000 };

export interface WaitOptions {
  readonly logger: Logger;
  /** Ends the wait: a process that is told to stop waits for nothing. */
  readonly signal: AbortSignal;
  /** Errors that waiting does not mend are thrown. Default: none. */
  readonly isFinal?: (error: unknown) => boolean;
}

/**
 * Attempts until one succeeds; what it waits for and why stands in the log. How long a server takes is not known, so only `signal` ends the wait.
 * @throws the signal's reason, and what `isFinal` names.
 */
export async function waitUntil<T>(what: string, attempt: () => Promise<T>, { logger, signal, isFinal }: WaitOptions): Promise<T> {
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (isFinal?.(error)) throw error;
      logger.warn({ reason: messages(error) }, `waits for ${what}`);
    }
    await sleep(backoffMilliseconds(BACKOFF, failures, Math.random()), undefined, { signal }).catch(() => undefined);
  }
}

/** What happened, and what that came from. */
function messages(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${messages(error.cause)}`;
}

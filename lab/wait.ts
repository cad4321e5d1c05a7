import { setTimeout as sleep } from 'node:timers/promises';

/** Something did not happen in its time. */
export class WaitError extends Error {
  override readonly name = 'WaitError';
}

/** Thrown by a probe: waiting any longer is no use. */
export class HopelessError extends Error {
  override readonly name = 'HopelessError';
}

/**
 * Asks again and again until the answer is neither undefined nor false.
 * @param what stands in the error: `the API server answers`.
 * @param probe may throw: the last error is told when time is up.
 * @throws {WaitError | HopelessError}
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutSeconds = 30, intervalMs = 100 }: { readonly timeoutSeconds?: number; readonly intervalMs?: number } = {},
): Promise<T> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  let lastError: unknown;
  do {
    try {
      const answer = await probe();
      lastError = undefined;
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      if (error instanceof HopelessError) throw error;
      lastError = error;
    }
    await sleep(intervalMs);
  } while (Date.now() < deadline);
  const reason = lastError instanceof Error ? `: ${lastError.message}` : '';
  throw new WaitError(`after ${timeoutSeconds} s it is not so that ${what}${reason}`, { cause: lastError });
}

/** How a program ends whose parts were opened one after the other. */

/** Ends a part; returns when it has ended. */
export type Close = () => Promise<unknown>;

/**
 * Runs a program until it returns or the signal ends it. What it has opened is closed in reverse, however it ended.
 * @throws what `run` throws; being told to stop is no error.
 */
export async function runUntilStopped(signal: AbortSignal, run: (closeAtEnd: (close: Close) => void) => Promise<void>): Promise<void> {
  const closes: Close[] = [];
  try {
    await run((close) => void closes.push(close));
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  } finally {
    for (const close of closes.reverse()) await close();
  }
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

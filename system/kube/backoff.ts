/** How long to wait before the next attempt. */

export interface Backoff {
  readonly minimumMilliseconds: number;
  readonly maximumMilliseconds: number;
}

/**
 * Doubles with every failure, and spreads over the upper half of that time, so that many who failed at once do not come back at once.
 * @param failures so far, at least 1. @param random in [0, 1).
 */
export function backoffMilliseconds({ minimumMilliseconds, maximumMilliseconds }: Backoff, failures: number, random: number): number {
  const ceiling = Math.min(maximumMilliseconds, minimumMilliseconds * 2 ** Math.min(failures - 1, 30));
  return ceiling * (0.5 + random / 2);
}

import { SLOW_NET_MILLISECONDS } from './timings.ts';

/**
 * The net beneath the signals of a workflow that waits for others: now and then it looks which of them have ended without a word. Counted from the last
 * look, not from the last signal: where many volumes move there is always one.
 */
export class SlowNet {
  #lookedAt = Date.now();

  /** In milliseconds, at least one. */
  get untilDue(): number {
    return Math.max(this.#lookedAt + SLOW_NET_MILLISECONDS - Date.now(), 1);
  }

  /** @returns whether it is time to look; then it counts anew. */
  comesDue(): boolean {
    if (Date.now() < this.#lookedAt + SLOW_NET_MILLISECONDS) return false;
    this.#lookedAt = Date.now();
    return true;
  }
}

/**
 * Work by key: what watchers put in and reconcilers take out.
 *
 * A key is in at most one of these states:
 *   idle -> waiting (add) -> running -> idle
 *                              |  add meanwhile: runs once more, at once
 *                              +- failed -> delayed (back-off) -> waiting; an add ends the delay
 * So a thousand changes of one object are one or two runs, never two of one key at once, and a run that failed is made again until it succeeds.
 */
import { type Backoff, backoffMilliseconds } from './backoff.ts';

export interface KeyedQueueOptions {
  /** Reads the world and acts on it; the key says only where to look. The signal ends with the queue. */
  readonly process: (key: string, signal: AbortSignal) => Promise<void>;
  /** Told of every run that failed; the key is tried again. */
  readonly onError: (error: unknown, key: string) => void;
  /** Runs at the same time, of different keys. Default 4. */
  readonly concurrency?: number;
  readonly backoff?: Backoff;
}

const DEFAULT_BACKOFF: Backoff = { minimumMilliseconds: 200, maximumMilliseconds: 30_000 };

export class KeyedQueue {
  readonly #options: KeyedQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #delayed = new Map<string, NodeJS.Timeout>();
  readonly #failures = new Map<string, number>();
  readonly #stopped = new AbortController();

  constructor(options: KeyedQueueOptions) {
    this.#options = options;
  }

  /** Has no effect once the queue is stopped. */
  add(key: string): void {
    if (this.#stopped.signal.aborted) return;
    clearTimeout(this.#delayed.get(key));
    this.#delayed.delete(key);
    this.#waiting.add(key);
    this.#startNext();
  }

  /** Takes nothing up any more, and returns when the runs under way have ended. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const timer of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  #startNext(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= (this.#options.concurrency ?? 4)) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.set(key, this.#runOnce(key));
    }
  }

  async #runOnce(key: string): Promise<void> {
    try {
      // Asynchronous from the first line on, so that the key is entered as running before its work begins.
      await Promise.resolve();
      await this.#options.process(key, this.#stopped.signal);
      this.#failures.delete(key);
    } catch (error) {
      this.#delay(key);
      this.#options.onError(error, key);
    } finally {
      this.#running.delete(key);
      if (!this.#stopped.signal.aborted) this.#startNext();
    }
  }

  #delay(key: string): void {
    if (this.#stopped.signal.aborted) return;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    if (this.#waiting.has(key)) return;
    const milliseconds = backoffMilliseconds(this.#options.backoff ?? DEFAULT_BACKOFF, failures, Math.random());
    this.#delayed.set(
      key,
      setTimeout(() => this.add(key), milliseconds),
    );
  }
}

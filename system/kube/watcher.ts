/**
 * Keeps a store of all objects of one kind (or a selection of them) true, and says what changed.
 *
 *            +--------------- 410, error of a list, relist interval ---------------+
 *            v                                                                     |
 *   [list, page by page] --store replaced by difference--> [watch from its resourceVersion] --ended, error, silence--+
 *            ^                                                     ^                                                 |
 *            |                                                     +------------- from the last event's -------------+
 *   a round that ends within a second is followed by a back-off, whatever ended it
 *
 * The library's informers stop for good when the server drops the connection, and its Watch swallows what its handler throws. Here whatever
 * goes wrong is told to `onError` and tried again until `stop`. Three things guard against a connection that is dead but not closed: bookmarks
 * (about one a minute) count as contact, silence beyond a limit ends the watch, and everything is listed again from time to time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Backoff, backoffMilliseconds } from './backoff.ts';
import type { KubeClient, Selection, WatchEvent } from './client.ts';
import { isExpired, KubeError } from './errors.ts';
import { type KubeObject, keyOf, type Resource } from './resources.ts';

/** `now` undefined: deleted; `before` undefined: new. Both are the same object (uid): one made again under its name is a deletion and a creation. */
export type ChangeHandler<P> = (key: string, now: P | undefined, before: P | undefined) => void;

export interface WatcherLimits {
  /** A watch without a byte for so long is dead. Bookmarks come about once a minute. */
  readonly silenceSeconds: number;
  readonly relistSeconds: number;
  /** The server ends each watch after this time, at random up to a quarter more. */
  readonly serverTimeoutSeconds: number;
  readonly backoff: Backoff;
}

export const DEFAULT_LIMITS: WatcherLimits = {
  silenceSeconds: 150,
  relistSeconds: 600,
  serverTimeoutSeconds: 240,
  backoff: { minimumMilliseconds: 200, maximumMilliseconds: 15_000 },
};

export interface WatcherOptions<T extends KubeObject, P> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly selection?: Selection;
  /**
   * What is kept of an object; `before` undefined: it is new. Memory is spent here: keep what is read. An object for which it throws is told to `onError`
   * and left as it was.
   */
  readonly project: (object: T, before: P | undefined) => P;
  /** Called for every object of the first list too. Should only put a key into a queue. What it throws goes to `onError`. */
  readonly onChange?: ChangeHandler<P>;
  /** Connections lost, lists refused, handlers that threw: told, and gone on from. */
  readonly onError: (error: unknown) => void;
  readonly limits?: Partial<WatcherLimits>;
}

interface Entry<P> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly value: P;
}

/** A projection that keeps the whole object but the record of who set which field, which is often the larger part. */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}

export class Watcher<T extends KubeObject, P = T> {
  readonly #options: WatcherOptions<T, P>;
  readonly #limits: WatcherLimits;
  readonly #store = new Map<string, Entry<P>>();
  readonly #stopped = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #resourceVersion: string | undefined;
  #listedAt = 0;
  #contactAt: number | undefined;
  #lastError: unknown;

  constructor(options: WatcherOptions<T, P>) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Returns when nothing of it runs any more; no handler is called after `stop` was. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  /** @throws where the first list has not been read in time; the message says what stood in its way. */
  async waitForSync(timeoutSeconds: number): Promise<void> {
    const limit = new AbortController();
    const late = sleep(timeoutSeconds * 1000, undefined, { signal: AbortSignal.any([limit.signal, this.#stopped.signal]) }).then(
      () => `not within ${timeoutSeconds} s`,
      () => 'the watcher was stopped',
    );
    const outcome = await Promise.race([this.#synced.promise, late]);
    limit.abort();
    if (outcome === undefined) return;
    throw new Error(`${this.#options.resource.plural} could not be read: ${outcome}`, { cause: this.#lastError });
  }

  /** @param key of `keyOf`. */
  get(key: string): P | undefined {
    return this.#store.get(key)?.value;
  }

  list(): P[] {
    return Array.from(this.#store.values(), ({ value }) => value);
  }

  /** How long the API server has not been heard of; Infinity before the first list. Up to 65 s is usual where nothing changes. */
  secondsSinceContact(): number {
    return this.#contactAt === undefined ? Number.POSITIVE_INFINITY : (performance.now() - this.#contactAt) / 1000;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped.signal.aborted) {
      const startedAt = performance.now();
      try {
        await this.#round();
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        this.#lastError = error;
        if (isExpired(error)) this.#resourceVersion = undefined;
        this.#options.onError(error);
      }
      failures = performance.now() - startedAt < 1000 ? failures + 1 : 0;
      if (failures > 0) await this.#pause(backoffMilliseconds(this.#limits.backoff, failures, Math.random()));
    }
  }

  /** Lists where it must, and watches until the watch ends. */
  async #round(): Promise<void> {
    const relistAt = this.#listedAt + this.#limits.relistSeconds * 1000;
    if (this.#resourceVersion === undefined || performance.now() >= relistAt) await this.#list();
    await this.#watch(this.#resourceVersion!);
  }

  async #list(): Promise<void> {
    const { client, resource, selection } = this.#options;
    this.#resourceVersion = undefined;
    const found = new Set<string>();
    let resourceVersion = '';
    for await (const page of client.pages(resource, selection, { signal: this.#stopped.signal })) {
      this.#contact();
      resourceVersion = page.resourceVersion;
      for (const object of page.items) {
        found.add(keyOf(object.metadata));
        this.#put(object);
      }
    }
    for (const [key, entry] of this.#store) if (!found.has(key)) this.#remove(key, entry);
    this.#resourceVersion = resourceVersion;
    this.#listedAt = performance.now();
    this.#synced.resolve();
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { client, resource, selection } = this.#options;
    const silence = new AbortController();
    const watchdog = setTimeout(() => silence.abort(), this.#limits.silenceSeconds * 1000);
    const relistAt = this.#listedAt + this.#limits.relistSeconds * 1000;
    const relist = AbortSignal.timeout(Math.max(1, Math.ceil(relistAt - performance.now())));
    try {
      const events = client.watch(resource, {
        ...selection,
        resourceVersion,
        serverTimeoutSeconds: Math.round(this.#limits.serverTimeoutSeconds * (1 + Math.random() / 4)),
        signal: AbortSignal.any([silence.signal, relist, this.#stopped.signal]),
        onContact: () => {
          this.#contact();
          watchdog.refresh();
        },
      });
      for await (const event of events) this.#apply(event);
    } catch (error) {
      if (relist.aborted || this.#stopped.signal.aborted) return;
      if (!silence.signal.aborted) throw error;
      throw new KubeError(`GET ${resource.plural}`, undefined, 'TimedOut', `the watch was silent for ${this.#limits.silenceSeconds} s`);
    } finally {
      clearTimeout(watchdog);
    }
  }

  #apply({ type, object }: WatchEvent<T>): void {
    if (this.#stopped.signal.aborted) return;
    if (type === 'ADDED' || type === 'MODIFIED') this.#put(object);
    if (type === 'DELETED') {
      const key = keyOf(object.metadata);
      const entry = this.#store.get(key);
      if (entry) this.#remove(key, entry);
    }
    this.#resourceVersion = object.metadata.resourceVersion;
  }

  #put(object: T): void {
    const key = keyOf(object.metadata);
    const { uid, resourceVersion } = object.metadata;
    let before = this.#store.get(key);
    if (before?.resourceVersion === resourceVersion && before.uid === uid) return;
    if (before && before.uid !== uid) {
      this.#remove(key, before);
      before = undefined;
    }
    const projected = this.#guard(() => ({ value: this.#options.project(object, before?.value) }));
    if (!projected) return;
    const { value } = projected;
    this.#store.set(key, { uid, resourceVersion, value });
    this.#tell(key, value, before?.value);
  }

  #remove(key: string, entry: Entry<P>): void {
    this.#store.delete(key);
    this.#tell(key, undefined, entry.value);
  }

  #tell(key: string, now: P | undefined, before: P | undefined): void {
    if (this.#stopped.signal.aborted) return;
    this.#guard(() => this.#options.onChange?.(key, now, before));
  }

  /** Runs the caller's code: its failure must neither end the watch nor pass unseen. */
  #guard<R>(run: () => R): R | undefined {
    try {
      return run();
    } catch (error) {
      this.#options.onError(error);
      return undefined;
    }
  }

  #contact(): void {
    this.#contactAt = performance.now();
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
  }
}

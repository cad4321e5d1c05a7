/**
 * Looks for what migrations have left on this node.
 *
 *   when it starts, whenever a LocalVolumeMigrate becomes Aborted, and every ten minutes:
 *     tags of aborted migrations -> take away what is theirs: this node's share of an abort that happened while its agent was away
 *     tags of migrations that left this node for another target, because it was away -> take away what is theirs, as after an abort
 *     tags of migrations that nobody looks after any more -> leave everything, and tell: in the log, and as an Event on the node
 *
 * What could not be taken away is tried again where another attempt may mend it, and told where only a person can. The watch shows Aborted migrations
 * only: what runs changes every few seconds, and is of no interest here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { type Attempt, findOrphans, type NodeDependencies, sweepAborted, sweepGivenUp } from '../../activities/node/index.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { type EventRecorder, regarding } from '../../system/kube/events.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { nodes } from '../../system/kube/resources.ts';
import { Watcher, withoutManagedFields } from '../../system/kube/watcher.ts';
import { toActivityError } from '../activity-errors.ts';
import type { Logger } from '../logging.ts';

export interface SweeperOptions {
  readonly client: KubeClient;
  readonly dependencies: Omit<NodeDependencies, 'attempt'>;
  readonly events: Pick<EventRecorder, 'tell'>;
  readonly logger: Logger;
  /** From a round in which something failed to the next. Default 30. */
  readonly retrySeconds?: number;
  /** From any other round to the next that nothing has called for. Default 600. */
  readonly intervalSeconds?: number;
}

const DEFAULT_RETRY_SECONDS = 30;
/** Nothing tells an agent that an object was deleted which it does not watch. */
const DEFAULT_INTERVAL_SECONDS = 600;
const FIRST_LIST_SECONDS = 10;

/** It runs outside any activity: nobody hears of it, and nobody cancels it. */
const OWN_ATTEMPT: Attempt = {
  scheduledAt: 0,
  heartbeat: () => undefined,
  keepAlive: () => undefined,
  sleep: (milliseconds) => sleep(milliseconds),
};

export class Sweeper {
  readonly #client: KubeClient;
  readonly #dependencies: NodeDependencies;
  readonly #events: SweeperOptions['events'];
  readonly #logger: Logger;
  readonly #retrySeconds: number;
  readonly #intervalSeconds: number;
  readonly #aborted: Watcher<LocalVolumeMigrate>;
  readonly #stopped = new AbortController();
  readonly #firstRound = Promise.withResolvers<void>();
  /** uids of migrations whose leftovers are for a person. */
  readonly #givenUp = new Set<string>();
  /** What was told already. */
  readonly #told = new Set<string>();
  #wake = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: SweeperOptions) {
    const { client, dependencies, events, logger } = options;
    this.#client = client;
    this.#dependencies = { ...dependencies, attempt: () => OWN_ATTEMPT };
    this.#events = events;
    this.#logger = logger;
    this.#retrySeconds = options.retrySeconds ?? DEFAULT_RETRY_SECONDS;
    this.#intervalSeconds = options.intervalSeconds ?? DEFAULT_INTERVAL_SECONDS;
    this.#aborted = new Watcher({
      client,
      resource: localVolumeMigrates,
      selection: { fieldSelector: 'status.phase=Aborted' },
      project: withoutManagedFields,
      onChange: (_key, now) => {
        if (now) this.#wake.abort();
      },
      onError: (error) => logger.warn({ error }, 'aborted migrations could not be watched, tried again'),
    });
  }

  /** Returns when the first round has ended, well or not. */
  start(): Promise<void> {
    this.#aborted.start();
    this.#running ??= this.#run();
    return this.#firstRound.promise;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([this.#aborted.stop(), this.#running]);
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#wake = new AbortController();
      const isDone = await this.#round();
      this.#firstRound.resolve();
      const woken = AbortSignal.any([this.#stopped.signal, this.#wake.signal]);
      const seconds = isDone ? this.#intervalSeconds : this.#retrySeconds;
      await sleep(seconds * 1000, undefined, { signal: woken }).catch(() => undefined);
    }
    this.#firstRound.resolve();
  }

  /** @returns false where another round may do what this one could not. */
  async #round(): Promise<boolean> {
    try {
      await this.#aborted.waitForSync(FIRST_LIST_SECONDS);
      const isSwept = await this.#sweep();
      await this.#tellOrphans();
      return isSwept;
    } catch (error) {
      if (!this.#stopped.signal.aborted)
        this.#logger.warn({ error }, 'what migrations have left here could not be looked for, tried again');
      return false;
    }
  }

  async #sweep(): Promise<boolean> {
    const left = this.#aborted.list().filter(({ metadata }) => !this.#givenUp.has(metadata.uid));
    const aborted = await sweepAborted(this.#dependencies, left);
    const others = async () => (await this.#client.list(localVolumeMigrates)).filter(({ metadata }) => !this.#givenUp.has(metadata.uid));
    const givenUp = await sweepGivenUp(this.#dependencies, others);
    const failed = [...aborted.failed, ...givenUp.failed];
    for (const { metadata, spec } of [...aborted.swept, ...givenUp.swept]) {
      this.#logger.info({ migration: metadata.name, volume: spec.volumeName }, 'removed what a migration had left here');
    }
    const judged: boolean[] = [];
    for (const { migration, error } of failed) judged.push(await this.#judge(migration, error));
    return judged.every((isFinal) => isFinal);
  }

  /** @returns true where trying again would only repeat it. */
  async #judge({ metadata, spec }: LocalVolumeMigrate, error: unknown): Promise<boolean> {
    const failure = toActivityError(error);
    const isFinal = failure instanceof ApplicationFailure && failure.nonRetryable === true;
    const fields = { migration: metadata.name, volume: spec.volumeName, error: failure };
    this.#logger.warn(fields, `what a migration has left here could not be removed${isFinal ? '' : ', tried again'}`);
    if (!isFinal) return false;
    await this.#tell(`what LocalVolumeMigrate ${metadata.name} has left here could not be removed: ${failure.message}`);
    this.#givenUp.add(metadata.uid);
    return true;
  }

  async #tellOrphans(): Promise<void> {
    const orphans = await findOrphans(this.#dependencies, () => this.#client.list(localVolumeMigrates));
    for (const { migrationUid, names, because } of orphans) {
      const note = `${names.join(', ')} carries the tag of migration ${migrationUid}, and nobody takes it away: ${because}. Look at it, and remove it or its tags by hand`;
      if (this.#told.has(note)) continue;
      this.#logger.warn({ migrationUid, names, because }, 'a migration has left something here that only a person can judge');
      await this.#tell(note);
      this.#told.add(note);
    }
  }

  async #tell(note: string): Promise<void> {
    const node = await this.#client.get(nodes, { name: this.#dependencies.nodeName });
    await this.#events.tell({ regarding: regarding(nodes, node), reason: 'LeftOver', note, type: 'Warning' });
  }
}

/**
 * Does this node's share of the aborts that happened while its agent was away: its logical volume, metadata volume, tags and DRBD resource go.
 *
 *   when it starts, and whenever a LocalVolumeMigrate becomes Aborted:
 *     look for tags of aborted migrations -> take away what is theirs -> log, and try again later what another attempt may mend
 *
 * The watch shows Aborted migrations only: what runs changes every few seconds, and is of no interest here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { type Attempt, type NodeDependencies, sweepAborted } from '../../activities/node/index.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { Watcher, withoutManagedFields } from '../../system/kube/watcher.ts';
import { toActivityError } from '../activity-errors.ts';
import type { Logger } from '../logging.ts';
import { untilAborted } from '../stopping.ts';

export interface SweeperOptions {
  readonly client: KubeClient;
  readonly dependencies: Omit<NodeDependencies, 'attempt'>;
  readonly logger: Logger;
  /** From a round in which something failed to the next. Default 30. */
  readonly retrySeconds?: number;
}

const DEFAULT_RETRY_SECONDS = 30;
const FIRST_LIST_SECONDS = 10;

/** It runs outside any activity: nobody hears of it, and nobody cancels it. */
const OWN_ATTEMPT: Attempt = {
  scheduledAt: 0,
  heartbeat: () => undefined,
  keepAlive: () => undefined,
  sleep: (milliseconds) => sleep(milliseconds),
};

export class Sweeper {
  readonly #dependencies: NodeDependencies;
  readonly #logger: Logger;
  readonly #retrySeconds: number;
  readonly #aborted: Watcher<LocalVolumeMigrate>;
  readonly #stopped = new AbortController();
  readonly #firstRound = Promise.withResolvers<void>();
  /** uids of migrations whose leftovers are for a person. */
  readonly #givenUp = new Set<string>();
  #wake = new AbortController();
  #running: Promise<void> | undefined;

  constructor({ client, dependencies, logger, retrySeconds = DEFAULT_RETRY_SECONDS }: SweeperOptions) {
    this.#dependencies = { ...dependencies, attempt: () => OWN_ATTEMPT };
    this.#logger = logger;
    this.#retrySeconds = retrySeconds;
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
      if (isDone) await untilAborted(woken);
      else await sleep(this.#retrySeconds * 1000, undefined, { signal: woken }).catch(() => undefined);
    }
    this.#firstRound.resolve();
  }

  /** @returns false where another round may do what this one could not. */
  async #round(): Promise<boolean> {
    try {
      await this.#aborted.waitForSync(FIRST_LIST_SECONDS);
      const left = this.#aborted.list().filter(({ metadata }) => !this.#givenUp.has(metadata.uid));
      const { swept, failed } = await sweepAborted(this.#dependencies, left);
      for (const { metadata, spec } of swept) {
        this.#logger.info({ migration: metadata.name, volume: spec.volumeName }, 'removed what an aborted migration had left here');
      }
      return failed.map(({ migration, error }) => this.#judge(migration, error)).every((isFinal) => isFinal);
    } catch (error) {
      if (!this.#stopped.signal.aborted)
        this.#logger.warn({ error }, 'what aborted migrations have left here could not be looked for, tried again');
      return false;
    }
  }

  /** @returns true where trying again would only repeat it. */
  #judge({ metadata, spec }: LocalVolumeMigrate, error: unknown): boolean {
    const failure = toActivityError(error);
    const isFinal = failure instanceof ApplicationFailure && failure.nonRetryable === true;
    if (isFinal) this.#givenUp.add(metadata.uid);
    const fields = { migration: metadata.name, volume: spec.volumeName, error: failure };
    this.#logger.warn(fields, `what an aborted migration has left here could not be removed${isFinal ? '' : ', tried again'}`);
    return isFinal;
  }
}

/**
 * Leader election on a Lease, by the rules of Kubernetes' own components.
 *
 *   follower --the Lease is free, or has not changed for its duration--> leader      (compare-and-swap)
 *   leader --not renewed within renewDeadlineSeconds, or somebody else's--> follower  (`onLost`)
 *   leader --stop--> follower, the Lease given up, so that the next one follows at once
 *
 * Nobody compares clocks: a follower waits for the Lease's duration from the moment at which *it* saw the Lease change. A leader stops at the
 * renewal deadline, which is shorter, even if a request hangs; so at any instant at most one leads, as long as `onLost` stops the work at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from './client.ts';
import { isAlreadyExists, isConflict } from './errors.ts';
import { type LeaseSpec, microTime } from './lease.ts';
import { type Lease, leases, type ObjectName } from './resources.ts';

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly lease: ObjectName;
  /** Unlike that of any other candidate, also of this program's last run: pod name and a random part. */
  readonly identity: string;
  readonly onAcquired: () => void;
  /** Called once for each `onAcquired`, also at `stop`. */
  readonly onLost: (reason: string) => void;
  /** Attempts that failed; the next one follows. */
  readonly onError: (error: unknown) => void;
  readonly durationSeconds?: number;
  readonly renewDeadlineSeconds?: number;
  readonly retrySeconds?: number;
}

const DEFAULTS = { durationSeconds: 15, renewDeadlineSeconds: 10, retrySeconds: 2 };

export class LeaderElection {
  readonly #options: LeaderElectionOptions & typeof DEFAULTS;
  readonly #stopped = new AbortController();
  /** What was seen of the Lease last, and when it was seen to change. */
  #seen: { readonly resourceVersion: string; readonly at: number } | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  /** @throws where the deadline does not lie between retry and duration. */
  constructor(options: LeaderElectionOptions) {
    this.#options = { ...DEFAULTS, ...options };
    const { durationSeconds, renewDeadlineSeconds, retrySeconds } = this.#options;
    if (!(retrySeconds < renewDeadlineSeconds && renewDeadlineSeconds < durationSeconds)) {
      throw new Error('leader election: retrySeconds < renewDeadlineSeconds < durationSeconds must hold');
    }
  }

  get isLeader(): boolean {
    return this.#deadline !== undefined;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Leads no more when it returns, and the Lease is free if the API server could be reached. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { retrySeconds, onError } = this.#options;
    while (!this.#stopped.signal.aborted) {
      await this.#attempt().catch((error: unknown) => {
        if (!isConflict(error) && !isAlreadyExists(error)) onError(error);
      });
      await sleep(retrySeconds * 1000, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
    }
    if (this.isLeader) this.#lose('stopped');
    await this.#release().catch(onError);
  }

  /** Reads the Lease, and takes or renews it where that is right. */
  async #attempt(): Promise<void> {
    const { client, lease, identity, durationSeconds, retrySeconds } = this.#options;
    const startedAt = performance.now();
    const options = { timeoutSeconds: retrySeconds };
    const found = await client.find(leases, lease, options);
    if (this.#seen?.resourceVersion !== found?.metadata.resourceVersion) {
      this.#seen = found && { resourceVersion: found.metadata.resourceVersion, at: performance.now() };
    }
    const ours = found?.spec?.holderIdentity === identity;
    if (this.isLeader && !ours) this.#lose(`the Lease is held by ${found?.spec?.holderIdentity || 'nobody'}`);
    if (found && !ours && !this.#isFree(found)) return;

    const now = microTime(new Date());
    const renewed = { holderIdentity: identity, leaseDurationSeconds: durationSeconds, renewTime: now };
    const taken = { ...renewed, acquireTime: now, leaseTransitions: (found?.spec?.leaseTransitions ?? 0) + (found ? 1 : 0) };
    const written = found
      ? await client.mergePatch(leases, lease, { metadata: versionOf(found), spec: ours ? renewed : taken }, options)
      : await client.create(leases, { metadata: lease, spec: taken }, options);
    this.#seen = { resourceVersion: written.metadata.resourceVersion, at: performance.now() };
    this.#hold(startedAt);
  }

  #isFree({ spec }: Lease): boolean {
    if (!spec?.holderIdentity) return true;
    const durationSeconds = spec.leaseDurationSeconds ?? this.#options.durationSeconds;
    return performance.now() - this.#seen!.at >= durationSeconds * 1000;
  }

  /** @param since the renewal counts from before its request, which may have waited on the way. */
  #hold(since: number): void {
    if (this.#stopped.signal.aborted && !this.isLeader) return;
    const acquired = !this.isLeader;
    clearTimeout(this.#deadline);
    const left = since + this.#options.renewDeadlineSeconds * 1000 - performance.now();
    this.#deadline = setTimeout(() => this.#lose(`not renewed for ${this.#options.renewDeadlineSeconds} s`), left);
    if (acquired) this.#options.onAcquired();
  }

  #lose(reason: string): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#options.onLost(reason);
  }

  async #release(): Promise<void> {
    const { client, lease, identity, retrySeconds } = this.#options;
    const options = { timeoutSeconds: retrySeconds };
    const found = await client.find(leases, lease, options);
    if (found?.spec?.holderIdentity !== identity) return;
    const spec: Partial<LeaseSpec> = { holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(new Date()) };
    await client.mergePatch(leases, lease, { metadata: versionOf(found), spec }, options);
  }
}

function versionOf({ metadata }: Lease): { readonly resourceVersion: string } {
  return { resourceVersion: metadata.resourceVersion };
}

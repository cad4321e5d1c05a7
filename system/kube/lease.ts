/**
 * Leases: who leads, and who is alive.
 *
 * Two uses of coordination.k8s.io/v1. `LeaderElection`: of any number of controllers one acts on triggers. `LeaseHeartbeat`: an agent says that
 * it is there. `isLeaseHeld` reads either, and other programs' too.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from './client.ts';
import { isNotFound } from './errors.ts';
import { type KubeObject, type Lease, leases, type ObjectName } from './resources.ts';
import { withoutManagedFields } from './watcher.ts';

export type LeaseSpec = NonNullable<Lease['spec']>;

/** Times in Leases and Events have microseconds, and the API server refuses them with fewer digits. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}

/** A Lease as this process has watched it. */
export interface WatchedLease extends KubeObject {
  readonly spec?: LeaseSpec;
  /** On the clock of `performance.now()`. */
  readonly renewedAt: number;
}

/**
 * The projection of a watcher of Leases. As for `LeaderElection`, a renewal counts from the moment at which it is seen: the holder's clock may be minutes off.
 * Only of a Lease that is seen for the first time nothing but that clock tells how old it is.
 */
export function watchLease(lease: Lease, before: WatchedLease | undefined): WatchedLease {
  return { ...withoutManagedFields(lease), renewedAt: renewedAt(lease.spec, before) };
}

function renewedAt(spec: LeaseSpec | undefined, before: WatchedLease | undefined): number {
  if (before) return before.spec?.renewTime === spec?.renewTime ? before.renewedAt : performance.now();
  const ageMilliseconds = spec?.renewTime ? Date.now() - Date.parse(spec.renewTime) : Number.POSITIVE_INFINITY;
  return performance.now() - Math.max(0, ageMilliseconds);
}

/** Whether somebody holds the Lease at this moment. */
export function isLeaseHeld(lease: WatchedLease | undefined): boolean {
  const { holderIdentity, leaseDurationSeconds } = lease?.spec ?? {};
  if (!lease || !holderIdentity || leaseDurationSeconds === undefined) return false;
  return performance.now() < lease.renewedAt + leaseDurationSeconds * 1000;
}

export interface LeaseHeartbeatOptions {
  readonly client: KubeClient;
  readonly lease: ObjectName;
  readonly identity: string;
  /** After this time without a renewal the holder counts as gone. Default 15; renewed three times as often. */
  readonly durationSeconds?: number;
  /** While it answers false the Lease is given up. Default: never. */
  readonly isWell?: () => boolean;
  /** A renewal that failed; the next one follows as always. */
  readonly onError: (error: unknown) => void;
}

/** Keeps a Lease that only this process writes, and gives it up at `stop`, so that its absence shows at once. */
export class LeaseHeartbeat {
  readonly #options: LeaseHeartbeatOptions;
  readonly #durationSeconds: number;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: LeaseHeartbeatOptions) {
    this.#options = options;
    this.#durationSeconds = options.durationSeconds ?? 15;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { identity, isWell = () => true } = this.#options;
    const interval = (this.#durationSeconds * 1000) / 3;
    while (!this.#stopped.signal.aborted) {
      await this.#write(isWell() ? identity : '');
      await sleep(interval, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
    }
    await this.#write('');
  }

  async #write(holderIdentity: string): Promise<void> {
    const { client, lease, onError } = this.#options;
    const spec = { holderIdentity, renewTime: microTime(new Date()), leaseDurationSeconds: this.#durationSeconds };
    const options = { timeoutSeconds: this.#durationSeconds / 3 };
    try {
      await client.mergePatch(leases, lease, { spec }, options).catch(async (error: unknown) => {
        if (!isNotFound(error)) throw error;
        await client.create(leases, { metadata: lease, spec }, options);
      });
    } catch (error) {
      onError(error);
    }
  }
}

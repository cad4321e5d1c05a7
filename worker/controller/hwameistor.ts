/**
 * HwameiStor's own controller: while it lives it acts on the same objects, so Rehome's keeps its hands off.
 *
 * Seen by the Lease that its leader renews, in whatever namespace that runs.
 */
import { HWAMEISTOR_LEASE } from '../../core/contracts/names.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { isLeaseHeld, type WatchedLease, watchLease } from '../../system/kube/lease.ts';
import { type Lease, leases } from '../../system/kube/resources.ts';
import { Watcher } from '../../system/kube/watcher.ts';
import type { Logger } from '../logging.ts';
import { RefusalError } from '../process.ts';

const SELECTION = { fieldSelector: `metadata.name=${HWAMEISTOR_LEASE}` };

/** Rehome refuses to run beside a live HwameiStor. */
export class HwameistorIsLiveError extends RefusalError {
  override readonly name = 'HwameistorIsLiveError';

  constructor(lease: Lease) {
    super(
      `HwameiStor is running: ${lease.spec?.holderIdentity} holds Lease ${lease.metadata.namespace}/${lease.metadata.name}. Both would act on ` +
        'the same objects. Scale HwameiStor down (Deployments and DaemonSet), then start Rehome again; nothing was changed.',
    );
  }
}

/** @throws {HwameistorIsLiveError} */
export async function refuseBesideHwameistor(kube: KubeClient): Promise<void> {
  const live = (await kube.list(leases, SELECTION)).find((lease) => isLeaseHeld(watchLease(lease, undefined)));
  if (live) throw new HwameistorIsLiveError(live);
}

export interface HwameistorWatchOptions {
  readonly kube: KubeClient;
  readonly logger: Logger;
  /** Called whenever it changes; at the start HwameiStor counts as absent. */
  readonly onChange: (isLive: boolean) => void;
}

/** The API server counts as heard of. It says that nothing has changed about once a minute, so one that died is seen to be gone a minute later at most. */
const HEARD_SECONDS = 5;

/** Notices a HwameiStor that comes up later, and when it is gone again. */
export class HwameistorWatch {
  readonly #watcher: Watcher<Lease, WatchedLease>;
  readonly #options: HwameistorWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #isLive = false;

  constructor(options: HwameistorWatchOptions) {
    this.#options = options;
    this.#watcher = new Watcher<Lease, WatchedLease>({
      client: options.kube,
      resource: leases,
      selection: SELECTION,
      project: watchLease,
      onChange: () => this.#judge(),
      onError: (error) => options.logger.warn({ error }, "watch of HwameiStor's Lease interrupted, tried again"),
    });
  }

  start(): void {
    this.#watcher.start();
    // A Lease that runs out is no event.
    this.#timer = setInterval(() => this.#judge(), 1000);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#watcher.stop();
  }

  #judge(): void {
    const { logger, onChange } = this.#options;
    const live = this.#watcher.list().find(isLeaseHeld);
    if ((live !== undefined) === this.#isLive) return;
    // Beside a dead connection every Lease runs out: nobody brings its renewals.
    if (!live && this.#watcher.secondsSinceContact() > HEARD_SECONDS) return;
    this.#isLive = live !== undefined;
    if (live) {
      const lease = `${live.metadata.namespace}/${live.metadata.name}`;
      logger.error(
        { holder: live.spec?.holderIdentity, lease },
        'HwameiStor has come up beside Rehome: no eviction is started and no object reconciled until it is gone; migrations under way go on. Scale one of them down.',
      );
    } else logger.warn('HwameiStor is gone: evictions start again');
    onChange(this.#isLive);
  }
}

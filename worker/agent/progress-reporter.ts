/**
 * Shows how far a sync or verify is in its LocalVolumeMigrate: a heartbeat's details reach Temporal's UI only.
 *
 * Display, not truth: what cannot be written is written the next time.
 */
import type { SyncProgress } from '../../core/contracts/migration.ts';
import { progressOfSync } from '../../core/domain/sync-progress.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import type { Logger } from '../logging.ts';

const INTERVAL_MILLISECONDS = 2000;

export class ProgressReporter {
  readonly #kube: Pick<KubeClient, 'mergePatch'>;
  readonly #logger: Logger;
  /** When each migration was written last. */
  readonly #writtenAt = new Map<string, number>();

  constructor(kube: Pick<KubeClient, 'mergePatch'>, logger: Logger) {
    this.#kube = kube;
    this.#logger = logger;
  }

  /** @param migration name of the LocalVolumeMigrate. Returns at once. */
  report(migration: string, sync: SyncProgress): void {
    const now = performance.now();
    if (now - (this.#writtenAt.get(migration) ?? Number.NEGATIVE_INFINITY) < INTERVAL_MILLISECONDS) return;
    this.#writtenAt.set(migration, now);
    const { etaSeconds = null, waitsFor = null, ...progress } = progressOfSync(sync);
    // What is not known any more goes from the object only where it is said to be null.
    const patch = { status: { progress: { ...progress, etaSeconds, waitsFor } } };
    const options = { subresource: 'status' as const, timeoutSeconds: INTERVAL_MILLISECONDS / 1000 };
    this.#kube.mergePatch(localVolumeMigrates, { name: migration }, patch, options).catch((error: unknown) => {
      this.#logger.debug({ error, migration }, 'progress could not be written');
    });
  }

  /** The activity has ended. */
  forget(migration: string): void {
    this.#writtenAt.delete(migration);
  }
}

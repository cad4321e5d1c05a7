/**
 * Releases room that is reserved for a migration which has ended, or is gone: an attempt to reserve that outlived its run may write behind the abort, and
 * whoever takes the finalizer off a LocalVolumeMigrate by hand takes away what would have released it.
 *
 * Found in the stores every few seconds, and judged live: a store that lags would take a migration that has just begun for one that is gone.
 */
import { hasEnded, migrationsOf } from '../activities/cluster/migration-objects.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import type { LocalVolumeMigrate } from '../core/contracts/objects/index.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { releaseReservation, reservationsOf } from '../system/kube/reservations.ts';

export interface ReservationsDependencies {
  readonly kube: KubeClient;
  readonly stores: Pick<ClusterStores, 'localStorageNodes' | 'localVolumeMigrates'>;
  readonly logger: { warn(fields: object, message: string): void };
}

const LOOK_MILLISECONDS = 5000;

export class ReservationsReconciler {
  readonly #dependencies: ReservationsDependencies;
  readonly #queue: KeyedQueue;
  #timer: NodeJS.Timeout | undefined;

  constructor(dependencies: ReservationsDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (node) => this.#reconcile(node),
      onError: (error, node) => dependencies.logger.warn({ error, node }, 'reservations could not be looked through, tried again'),
    });
  }

  start(): void {
    const look = (): void => {
      for (const { metadata } of this.#dependencies.stores.localStorageNodes.list()) this.#queue.add(metadata.name);
    };
    this.#timer = setInterval(look, LOOK_MILLISECONDS);
    look();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#queue.stop();
  }

  async #reconcile(node: string): Promise<void> {
    const { kube, stores, logger } = this.#dependencies;
    const storageNode = stores.localStorageNodes.get(node);
    if (!storageNode) return;
    for (const [volume, { id }] of reservationsOf(storageNode)) {
      if (runs(stores.localVolumeMigrates.list(), id) || runs(await migrationsOf(kube, volume), id)) continue;
      const leftOver = { node, volume, id };
      await releaseReservation(kube, leftOver);
      logger.warn(leftOver, 'released room that was reserved for a migration which has ended');
    }
  }
}

function runs(migrates: readonly LocalVolumeMigrate[], uid: string): boolean {
  return migrates.some((migrate) => migrate.metadata.uid === uid && !hasEnded(migrate));
}

/**
 * LocalVolumeMigrates that have ended: they may be deleted by anybody, and go by themselves after a while.
 *
 * Rehome's finalizer is taken off as soon as nothing of the migration is left on any node, and the moves of those that leave with it have ended. An
 * object that keeps a volume where a person wants it stays for as long as that counts. Judged from the stores, on every change of such an object and
 * every few seconds, because time and agents go by as well.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import { hasEnded, isProtected, leaderOf } from '../activities/cluster/migration-objects.ts';
import { isHeld } from '../activities/cluster/node-eviction.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import { isAgentAlive } from '../activities/cluster/volume-facts.ts';
import { companionsOf } from '../activities/cluster/volume-objects.ts';
import { MIGRATION_FINALIZER } from '../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../core/contracts/objects/index.ts';
import { isCordoned } from '../core/domain/node-wish.ts';
import { judgeRetention } from '../core/domain/retention.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { isConflict, isNotFound } from '../system/kube/errors.ts';
import { localVolumeMigrates } from '../system/kube/hwameistor-resources.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { keyOf } from '../system/kube/resources.ts';

export interface EndedMigrationsDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  /** Where the agents' Leases are. */
  readonly namespace: string;
  readonly now: () => Date;
  readonly retentionSeconds: number;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

const REGULAR_LOOK_MILLISECONDS = 5000;

export class EndedMigrationsReconciler {
  readonly #dependencies: EndedMigrationsDependencies;
  readonly #queue: KeyedQueue;
  readonly #ends: (() => void)[] = [];

  constructor(dependencies: EndedMigrationsDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (name) => this.#reconcile(name),
      onError: (error, migration) => dependencies.logger.warn({ error, migration }, 'an ended migration could not be let go, tried again'),
    });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(() => this.#lookAtAll(), REGULAR_LOOK_MILLISECONDS);
    this.#ends.push(
      () => clearInterval(regularLook),
      changes.subscribe('localVolumeMigrates', (name, now) => {
        if (now && hasEnded(now)) this.#queue.add(name);
      }),
    );
    this.#lookAtAll();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await this.#queue.stop();
  }

  #lookAtAll(): void {
    const ended = this.#dependencies.stores.localVolumeMigrates.list().filter(hasEnded);
    for (const { metadata } of ended) this.#queue.add(metadata.name);
  }

  async #reconcile(name: string): Promise<void> {
    const { stores, now, retentionSeconds, logger } = this.#dependencies;
    const migrate = stores.localVolumeMigrates.get(keyOf({ name }));
    if (!migrate || !hasEnded(migrate)) return;
    const { metadata, status } = migrate;
    const endedAt = Date.parse(status?.endTime ?? metadata.creationTimestamp);
    // Most of them: to look for companions is to look through all objects.
    if (!isProtected(migrate) && now().getTime() - endedAt < retentionSeconds * 1000) return;
    const ended = {
      endedAt,
      isProtected: isProtected(migrate),
      hasLeftOvers: this.#hasLeftOvers(migrate),
      hasCompanions: this.#hasCompanions(migrate),
      isHold: isHeld(migrate) && isCordoned(stores.nodes.get(keyOf({ name: migrate.spec.sourceNode }))),
    };
    const retention = judgeRetention(ended, retentionSeconds * 1000, now().getTime());
    if (retention === 'release') await this.#release(migrate);
    if (retention === 'remove' && metadata.deletionTimestamp === undefined) {
      await this.#remove(migrate);
      logger.info({ migration: name, volume: migrate.spec.volumeName }, 'removed a LocalVolumeMigrate that ended long ago');
    }
  }

  /** Migrations that go by this one: they were asked for together with it, or move another volume from the same node that leaves with its own. */
  #hasCompanions(migrate: LocalVolumeMigrate): boolean {
    const { stores } = this.#dependencies;
    const { volumeName, sourceNode } = migrate.spec;
    const running = stores.localVolumeMigrates.list().filter((other) => !hasEnded(other));
    if (running.some((other) => leaderOf(other) === leaderOf(migrate))) return true;
    const leaving = new Set(running.filter(({ spec }) => spec.sourceNode === sourceNode).map(({ spec }) => spec.volumeName));
    return leaving.size > 0 && companionsOf(stores, volumeName, sourceNode).some(({ metadata }) => leaving.has(metadata.name));
  }

  /** On a node whose agent was away then: until it is back, and reports that nothing stands there any more. */
  #hasLeftOvers({ spec, status }: LocalVolumeMigrate): boolean {
    const { localStorageNodes } = this.#dependencies.stores;
    const target = status?.target && localStorageNodes.get(keyOf({ name: status.target.node }));
    if (status?.phase === 'Aborted' && target && !isAgentAlive(this.#dependencies, target.metadata.name)) return true;
    return localStorageNodes
      .list()
      .some((node) =>
        Object.values(node.status?.pools ?? {}).some(({ arriving = [] }) => arriving.some(({ volume }) => volume === spec.volumeName)),
      );
  }

  async #release({ metadata }: LocalVolumeMigrate): Promise<void> {
    const { name, resourceVersion, finalizers = [] } = metadata;
    const others = finalizers.filter((finalizer) => finalizer !== MIGRATION_FINALIZER);
    try {
      await this.#dependencies.kube.mergePatch(localVolumeMigrates, { name }, { metadata: { resourceVersion, finalizers: others } });
    } catch (error) {
      // The change that came between is on its way here and brings the next look.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }

  async #remove({ metadata }: LocalVolumeMigrate): Promise<void> {
    const { name, uid } = metadata;
    try {
      await this.#dependencies.kube.delete(localVolumeMigrates, { name }, { preconditions: { uid } });
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }
}

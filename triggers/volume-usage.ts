/**
 * What a migration waits for comes true in some object: its pod goes, a node gets room, somebody sets `spec.abort` or deletes it. Here those changes
 * become the signals `lookAgain` and `abort` to the migrations they concern, so that none of them polls.
 *
 * A change that concerns nobody costs nothing; several within a fifth of a second are one signal. A migration that is open but whose workflow runs
 * no more (terminated, or Temporal's database lost) is started again, one that somebody asked for within seconds: its LocalVolumeMigrate says where it
 * stands.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import { inputOf, isOpen, isTakenBack, movesWith, triggerOf } from '../activities/cluster/migration-objects.ts';
import type { MigrationWorkflows } from '../activities/cluster/migration-workflows.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import type { ClusterActivities } from '../core/contracts/cluster-activities.ts';
import { workflowId } from '../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../core/contracts/objects/index.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { concernedBy } from './concerned-migrations.ts';
import type { WorkflowSignals } from './workflow-signals.ts';

export interface VolumeUsageDependencies {
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  readonly signals: Pick<WorkflowSignals, 'lookAgain' | 'abort'>;
  readonly workflows: Pick<MigrationWorkflows, 'startOrFollow' | 'endOf'>;
  /** What an empty Temporal server needs before a workflow can be started. */
  readonly prepareTemporal: () => Promise<void>;
  /** Live: a store that lags would revive a migration that has ended. */
  readonly findMigration: ClusterActivities['findMigration'];
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

const COALESCE_MILLISECONDS = 200;
const REGULAR_LOOK_MILLISECONDS = 10 * 60 * 1000;
const LOST_LOOK_MILLISECONDS = 15 * 1000;

export class VolumeUsageTrigger {
  readonly #dependencies: VolumeUsageDependencies;
  readonly #queue: KeyedQueue;
  readonly #maybeLost: KeyedQueue;
  readonly #ends: (() => void)[] = [];
  /** Volumes about which something changed a moment ago. */
  readonly #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(dependencies: VolumeUsageDependencies) {
    this.#dependencies = dependencies;
    const onError = (error: unknown, volume: string) =>
      dependencies.logger.warn({ error, volume }, 'a migration could not be told to look again, tried again');
    this.#queue = new KeyedQueue({ process: (volume) => this.#tell(volume), onError });
    this.#maybeLost = new KeyedQueue({ process: (volume) => this.#startIfLost(volume), onError });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(() => this.#add(this.#open()), REGULAR_LOOK_MILLISECONDS);
    const lostLook = setInterval(() => this.#lookForLost(), LOST_LOOK_MILLISECONDS);
    const concerned = concernedBy(this.#dependencies.stores);
    this.#ends.push(
      () => clearInterval(regularLook),
      () => clearInterval(lostLook),
      () => clearTimeout(this.#timer),
      changes.subscribe('pods', (_, now, before) => this.#add(concerned.pod(this.#open(), now, before))),
      changes.subscribe('volumeAttachments', (_, now, before) => this.#add(concerned.volumeAttachment(this.#open(), now, before))),
      changes.subscribe('nodes', (name, now, before) => this.#add(concerned.node(this.#open(), name, now, before))),
      changes.subscribe('localStorageNodes', (name, now, before) => this.#add(concerned.localStorageNode(this.#open(), name, now, before))),
      changes.subscribe('localVolumes', (name, now, before) => {
        this.#add(concerned.object(this.#open(), name));
        this.#add(concerned.wish(this.#open(), now, before));
      }),
      changes.subscribe('persistentVolumeClaims', (_, now, before) => this.#add(concerned.wish(this.#open(), now, before))),
      changes.subscribe('localVolumeReplicas', (_, now, before) =>
        this.#add(concerned.object(this.#open(), (now ?? before)?.spec.volumeName)),
      ),
      changes.subscribe('localVolumeMigrates', (_, now, before) => {
        if (now && isOpen(now) && isNews(now, before)) this.#add([now]);
        this.#add(concerned.companion(this.#open(), now, before));
        if (before && leadsNoMore(now) && !leadsNoMore(before)) this.#add(this.#open().filter((migrate) => movesWith(migrate, before)));
      }),
    );
    this.#add(this.#open());
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    this.#timer = undefined;
    this.#changed.clear();
    await Promise.all([this.#queue.stop(), this.#maybeLost.stop()]);
  }

  #open(): readonly LocalVolumeMigrate[] {
    return this.#dependencies.stores.localVolumeMigrates.list().filter(isOpen);
  }

  #openOf(volume: string): LocalVolumeMigrate | undefined {
    return this.#open().find(({ spec }) => spec.volumeName === volume);
  }

  /** A drain's are looked after by the node's eviction. */
  #lookForLost(): void {
    const askedFor = this.#open().filter((migrate) => triggerOf(migrate) === 'migrate-request');
    for (const { spec } of askedFor) this.#maybeLost.add(spec.volumeName);
  }

  #add(migrates: readonly LocalVolumeMigrate[]): void {
    for (const { spec } of migrates) this.#changed.add(spec.volumeName);
    if (this.#changed.size === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const volume of this.#changed) this.#queue.add(volume);
      this.#changed.clear();
    }, COALESCE_MILLISECONDS);
  }

  async #tell(volume: string): Promise<void> {
    const { signals, logger } = this.#dependencies;
    const migrate = this.#openOf(volume);
    if (!migrate) return;
    const signal = migrate.spec.abort ? 'abort' : 'lookAgain';
    if (await signals[signal](volume)) {
      logger.info({ volume, migration: migrate.metadata.name }, `${signal} told`);
      return;
    }
    if (await this.#revive(migrate)) await signals[signal](volume);
  }

  async #startIfLost(volume: string): Promise<void> {
    const migrate = this.#openOf(volume);
    if (migrate && (await this.#dependencies.workflows.endOf(volume))) await this.#revive(migrate);
  }

  /** @returns whether a workflow runs now. */
  async #revive(migrate: LocalVolumeMigrate): Promise<boolean> {
    const { workflows, prepareTemporal, findMigration, logger } = this.#dependencies;
    const input = inputOf(migrate);
    const { volume, sourceNode, trigger } = input;
    if (!(await findMigration({ volume }))) return false;
    await prepareTemporal();
    logger.warn({ volume, migration: migrate.metadata.name }, 'the migration is open but no workflow runs: started again');
    await workflows.startOrFollow(input, trigger === 'node-drain' ? workflowId.evictNode(sourceNode) : undefined);
    return true;
  }
}

function leadsNoMore(migrate: LocalVolumeMigrate | undefined): boolean {
  return migrate === undefined || isTakenBack(migrate);
}

/**
 * It is to be aborted or deleted, or may go to other nodes; or it is open only now, and what changed since its run looked first concerned nobody who was
 * known here.
 */
function isNews(now: LocalVolumeMigrate, before: LocalVolumeMigrate | undefined): boolean {
  return !before || !isOpen(before) || now.metadata.generation !== before.metadata.generation;
}

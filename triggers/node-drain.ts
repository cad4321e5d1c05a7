/**
 * Cordoned nodes are emptied: from the state of nodes to `evict-node-<node>`.
 *
 * Level-triggered: a change only says which node to look at. What an event lost (this process was down, another led) the first look finds, which
 * every node gets at the start and every ten minutes. An eviction that should run and does not is started again within seconds: it was terminated, or
 * Temporal has lost its database.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import { isOpen, triggerOf } from '../activities/cluster/migration-objects.ts';
import { isHeld, migrationsAwayFrom, volumesOn } from '../activities/cluster/node-eviction.ts';
import { moveWish, type StayJudge } from '../activities/cluster/stay.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import { decideNodeDrain, isToBeEmptied, type NodeDrainFacts, needsEviction } from '../core/domain/node-drain.ts';
import { isCordoned, isEvictionDisabled } from '../core/domain/node-wish.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import type { Node } from '../system/kube/resources.ts';
import type { WorkflowSignals } from './workflow-signals.ts';

export interface NodeDrainDependencies {
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  readonly whyStays: StayJudge;
  readonly signals: Pick<WorkflowSignals, 'evictNode' | 'nodeChanged' | 'isEvicting'>;
  /** What an empty Temporal server needs before a workflow can be started. */
  readonly prepareTemporal: () => Promise<void>;
  /** Lets volumes move again whose moves from this node a person has aborted. */
  readonly releaseHolds: (node: string) => Promise<void>;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

const REGULAR_LOOK_MILLISECONDS = 10 * 60 * 1000;
const LOST_LOOK_MILLISECONDS = 15 * 1000;

export class NodeDrainTrigger {
  readonly #dependencies: NodeDrainDependencies;
  readonly #toBeEmptied = new Map<string, boolean>();
  readonly #queue: KeyedQueue;
  readonly #maybeLost: KeyedQueue;
  readonly #ends: (() => void)[] = [];

  constructor(dependencies: NodeDrainDependencies) {
    this.#dependencies = dependencies;
    const onError = (error: unknown, node: string) =>
      dependencies.logger.warn({ error, node }, 'the eviction of a node could not be told, tried again');
    this.#queue = new KeyedQueue({ process: (node) => this.#look(node), onError });
    this.#maybeLost = new KeyedQueue({ process: (node) => this.#startIfLost(node), onError });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(() => this.#lookAtAll(), REGULAR_LOOK_MILLISECONDS);
    const lostLook = setInterval(() => this.#lookForLost(), LOST_LOOK_MILLISECONDS);
    this.#ends.push(
      () => clearInterval(regularLook),
      () => clearInterval(lostLook),
      changes.subscribe('nodes', (name, now, before) => {
        if (differs(now, before)) this.#queue.add(name);
      }),
      changes.subscribe('localStorageNodes', (name, now, before) => {
        if (!now || !before) this.#queue.add(name);
      }),
      changes.subscribe('localVolumeReplicas', (_, now, before) => {
        if (now && !before) this.#queue.add(now.spec.nodeName);
      }),
      changes.subscribe('localVolumes', (_, now, before) => {
        if (moveWish(now) !== moveWish(before)) this.#lookAtAll();
      }),
      changes.subscribe('persistentVolumeClaims', (_, now, before) => {
        if (moveWish(now) !== moveWish(before)) this.#lookAtAll();
      }),
      changes.subscribe('localVolumeMigrates', (_, now, before) => {
        if (now && isHeld(now) && !(before && isHeld(before))) this.#queue.add(now.spec.sourceNode);
      }),
    );
    this.#lookAtAll();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await Promise.all([this.#queue.stop(), this.#maybeLost.stop()]);
  }

  #lookAtAll(): void {
    for (const { metadata } of this.#dependencies.stores.nodes.list()) this.#queue.add(metadata.name);
  }

  #lookForLost(): void {
    for (const { metadata } of this.#dependencies.stores.localStorageNodes.list()) {
      if (needsEviction(this.#facts(metadata.name))) this.#maybeLost.add(metadata.name);
    }
  }

  async #look(name: string): Promise<void> {
    const { signals, releaseHolds, logger } = this.#dependencies;
    const facts = this.#facts(name);
    const decision = decideNodeDrain(facts);
    if (!facts.cordoned) await releaseHolds(name);
    if (decision === 'start') {
      await signals.evictNode(name);
      logger.info({ node: name }, 'the node is cordoned: its volumes move away');
    }
    if (decision === 'tell') await signals.nodeChanged(name);
    this.#toBeEmptied.set(name, isToBeEmptied(facts));
  }

  async #startIfLost(name: string): Promise<void> {
    const { signals, prepareTemporal, logger } = this.#dependencies;
    if (await signals.isEvicting(name)) return;
    await prepareTemporal();
    await signals.evictNode(name);
    logger.info({ node: name }, "the node's eviction did not run any more and is started again");
  }

  #facts(name: string): NodeDrainFacts {
    const { stores, whyStays } = this.#dependencies;
    const node = stores.nodes.get(name);
    const away = migrationsAwayFrom(stores, name);
    const underWay = away.some((migrate) => isOpen(migrate) && triggerOf(migrate) === 'node-drain');
    const held = away.filter(isHeld).map(({ spec }) => spec.volumeName);
    return {
      managed: stores.localStorageNodes.get(name) !== undefined,
      cordoned: isCordoned(node),
      disabled: isEvictionDisabled(node),
      before: this.#toBeEmptied.get(name),
      somethingToMove: volumesOn(stores, name).some((volume) => !held.includes(volume) && !whyStays(stores, volume, name)) || underWay,
      underWay,
    };
  }
}

/** In what a drain is about: nodes change every few seconds in what is not. */
function differs(now: Node | undefined, before: Node | undefined): boolean {
  if (!now || !before) return true;
  return isCordoned(now) !== isCordoned(before) || isEvictionDisabled(now) !== isEvictionDisabled(before);
}

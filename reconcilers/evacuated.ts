/**
 * Keeps the condition Evacuated of every LocalStorageNode true: whether its node may be powered off, and what that waits for.
 *
 * Judged from the stores on every change that may matter, and for a cordoned node every few seconds: a Lease that runs out is no change. Before the condition
 * becomes True everything is read again live, because each store may lag behind the others by a moment.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import { isOpen } from '../activities/cluster/migration-objects.ts';
import { type StayJudge, withLiveWishes } from '../activities/cluster/stay.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import { isAgentAlive } from '../activities/cluster/volume-facts.ts';
import { bondsOf, replicaNodesOf } from '../activities/cluster/volume-objects.ts';
import {
  type Condition,
  EVACUATED_CONDITION,
  type LocalStorageNode,
  type LocalVolumeMigrate,
  type LocalVolumeReplica,
  type Pool,
} from '../core/contracts/objects/index.ts';
import { type Evacuation, judgeEvacuation } from '../core/domain/evacuated.ts';
import { isCordoned, isEvictionDisabled } from '../core/domain/node-wish.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { isConflict } from '../system/kube/errors.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas } from '../system/kube/hwameistor-resources.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { reservationsOf } from '../system/kube/reservations.ts';
import { type Node, nodes } from '../system/kube/resources.ts';

export interface EvacuatedDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  /** Where the agents' Leases are. */
  readonly namespace: string;
  readonly whyStays: StayJudge;
  /** From a node's cordon to the first of its migrations. */
  readonly evictionDelaySeconds: number;
  readonly now: () => Date;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/** What is known of a node at one look. */
interface Seen {
  readonly node: Node | undefined;
  readonly storageNode: LocalStorageNode;
  readonly replicas: readonly LocalVolumeReplica[];
  readonly migrates: readonly LocalVolumeMigrate[];
  /** By these it is judged which volumes stay. */
  readonly stores: ClusterStores;
}

const REGULAR_LOOK_MILLISECONDS = 5000;

export class EvacuatedReconciler {
  readonly #dependencies: EvacuatedDependencies;
  readonly #queue: KeyedQueue;
  readonly #ends: (() => void)[] = [];

  constructor(dependencies: EvacuatedDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (node) => this.#reconcile(node),
      onError: (error, node) => dependencies.logger.warn({ error, node }, 'condition Evacuated could not be written, tried again'),
    });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(
      () => this.#look((name) => isCordoned(this.#dependencies.stores.nodes.get(name))),
      REGULAR_LOOK_MILLISECONDS,
    );
    const lookAt = (...names: readonly (string | undefined)[]): void => {
      for (const name of new Set(names)) if (name !== undefined) this.#queue.add(name);
    };
    this.#ends.push(
      () => clearInterval(regularLook),
      changes.subscribe('nodes', (name) => lookAt(name)),
      changes.subscribe('localStorageNodes', (name) => lookAt(name)),
      changes.subscribe('localVolumeReplicas', (_, now, before) => lookAt(now?.spec.nodeName, before?.spec.nodeName)),
      changes.subscribe('localVolumeMigrates', (_, now, before) =>
        lookAt(...(now ? nodesOf(now) : []), ...(before ? nodesOf(before) : [])),
      ),
    );
    this.#look(() => true);
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await this.#queue.stop();
  }

  #look(isDue: (name: string) => boolean): void {
    for (const { metadata } of this.#dependencies.stores.localStorageNodes.list()) if (isDue(metadata.name)) this.#queue.add(metadata.name);
  }

  async #reconcile(name: string): Promise<void> {
    const { stores, logger } = this.#dependencies;
    const storageNode = stores.localStorageNodes.get(name);
    if (!storageNode) return;
    let seen = seenInStores(stores, storageNode);
    let judged = this.#judge(seen);
    if (judged.evacuated && !isEvacuated(storageNode)) {
      seen = await this.#seenLive(name);
      judged = this.#judge(seen);
    }
    if (await this.#write(seen.storageNode, judged))
      logger.info({ node: name, evacuated: judged.evacuated, reason: judged.reason }, judged.message);
  }

  #judge({ node, storageNode, replicas, migrates, stores }: Seen): Evacuation {
    const name = storageNode.metadata.name;
    const { pools } = storageNode.status ?? {};
    const underWay = migrates.filter((migrate) => isOpen(migrate) && nodesOf(migrate).includes(name));
    const migrations = underWay.map(({ spec, status }) => ({ volume: spec.volumeName, waitsFor: status?.phase ?? 'Pending' }));
    const reserved = [...reservationsOf(storageNode).keys()].filter((volume) =>
      migrations.every((migration) => migration.volume !== volume),
    );
    const reportedVolumes =
      pools && Object.values(pools).flatMap((pool) => pool.volumes?.filter((volume) => !hasLeftLostPool(stores, pool, volume, name)) ?? []);
    const replicaVolumes = replicas.filter(({ spec }) => spec.nodeName === name).map(({ spec }) => spec.volumeName);
    const bonds = bondsOf(stores);
    const stays = [...new Set([...replicaVolumes, ...(reportedVolumes ?? [])])].flatMap((volume) => {
      const stay = this.#dependencies.whyStays(stores, volume, name, bonds);
      return stay ? [[volume, stay] as const] : [];
    });
    return judgeEvacuation({
      cordoned: isCordoned(node),
      disabled: isEvictionDisabled(node),
      evacuated: isEvacuated(storageNode),
      agentAlive: isAgentAlive(this.#dependencies, name),
      reportedVolumes,
      replicaVolumes,
      migrations: [...migrations, ...reserved.map((volume) => ({ volume, waitsFor: 'reserved here' }))],
      stays: new Map(stays),
      delaySeconds: this.#dependencies.evictionDelaySeconds,
    });
  }

  async #seenLive(name: string): Promise<Seen> {
    const { kube } = this.#dependencies;
    const [node, storageNode, replicas, migrates, stores] = await Promise.all([
      kube.find(nodes, { name }),
      kube.get(localStorageNodes, { name }),
      kube.list(localVolumeReplicas),
      kube.list(localVolumeMigrates),
      withLiveWishes(kube, this.#dependencies.stores),
    ]);
    return { node, storageNode, replicas, migrates, stores };
  }

  /** Compare-and-swap, because the list of conditions is written whole. @returns whether it was written. */
  async #write({ metadata, status }: LocalStorageNode, judged: Evacuation): Promise<boolean> {
    const standing = status?.conditions?.find(({ type }) => type === EVACUATED_CONDITION);
    const wanted = conditionOf(judged, metadata.generation, standing, this.#dependencies.now().toISOString());
    if (standing && isSame(standing, wanted)) return false;
    const conditions = [...(status?.conditions ?? []).filter(({ type }) => type !== EVACUATED_CONDITION), wanted];
    const patch = { metadata: { resourceVersion: metadata.resourceVersion }, status: { conditions } };
    try {
      await this.#dependencies.kube.mergePatch(localStorageNodes, { name: metadata.name }, patch, { subresource: 'status' });
    } catch (error) {
      // The change that came between, often one's own, is on its way here and brings the next look.
      if (isConflict(error)) return false;
      throw error;
    }
    return true;
  }
}

function seenInStores(stores: ClusterStores, storageNode: LocalStorageNode): Seen {
  const node = stores.nodes.get(storageNode.metadata.name);
  return { node, storageNode, replicas: stores.localVolumeReplicas.list(), migrates: stores.localVolumeMigrates.list(), stores };
}

/** Whose pool has lost all of its disks, and whose LocalVolume lies elsewhere: nobody can remove there what is left of it. */
function hasLeftLostPool(stores: ClusterStores, { disks = [] }: Pool, volume: string, node: string): boolean {
  if (disks.length === 0 || disks.some(({ state }) => state !== 'Offline')) return false;
  const localVolume = stores.localVolumes.get(volume);
  return localVolume !== undefined && !replicaNodesOf(stores, localVolume).includes(node);
}

/** Source and target. */
function nodesOf({ spec, status }: LocalVolumeMigrate): readonly string[] {
  const target = status?.target?.node ?? status?.targetNode;
  return target === undefined ? [spec.sourceNode] : [spec.sourceNode, target];
}

function isEvacuated({ status }: LocalStorageNode): boolean {
  return status?.conditions?.some(({ type, status }) => type === EVACUATED_CONDITION && status === 'True') ?? false;
}

/** `lastTransitionTime` moves with the status only, `lastUpdateTime` with any of it. */
function conditionOf(
  { evacuated, reason, message }: Evacuation,
  generation: number | undefined,
  standing: Condition | undefined,
  now: string,
): Condition {
  const status = evacuated ? 'True' : 'False';
  return {
    type: EVACUATED_CONDITION,
    status,
    reason,
    message,
    lastTransitionTime: (standing?.status === status && standing.lastTransitionTime) || now,
    lastUpdateTime: now,
    ...(generation !== undefined && { observedGeneration: generation }),
  };
}

function isSame(standing: Condition, wanted: Condition): boolean {
  return (['status', 'reason', 'message', 'observedGeneration'] as const).every((field) => standing[field] === wanted[field]);
}

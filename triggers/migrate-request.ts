/**
 * LocalVolumeMigrates that somebody made: from a request to `migrate-<volume>`, or to the word why not.
 *
 * Level-triggered: a change only says which object to look at, and what became of it is read live. What was missed (this process was down, another
 * led) the first look finds, which every request gets at the start; each minute those are looked at again that wait for something. What has been begun
 * is the business of `volume-usage.ts`.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import {
  hasEnded,
  inputOf,
  isOpen,
  isRequest,
  labelsOf,
  migrationName,
  migrationsOf,
  movesWith,
} from '../activities/cluster/migration-objects.ts';
import type { MigrationWorkflows } from '../activities/cluster/migration-workflows.ts';
import { type StayJudge, withLiveWishes } from '../activities/cluster/stay.ts';
import { type ClusterStores, viewPod } from '../activities/cluster/stores.ts';
import { whyWithdrawn } from '../activities/cluster/volume-facts.ts';
import { claimOf, companionsOf, replicasOf } from '../activities/cluster/volume-objects.ts';
import { Annotation, MIGRATION_FINALIZER } from '../core/contracts/names.ts';
import type { LocalVolume, LocalVolumeMigrate, LocalVolumeMigrateStatus, LocalVolumeReplica } from '../core/contracts/objects/index.ts';
import { type Phase, stateOfPhase } from '../core/contracts/phases.ts';
import { decideMigrateRequest, type MigrateRequestDecision, type MigrateRequestFacts } from '../core/domain/migrate-request.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { isAlreadyExists } from '../system/kube/errors.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas } from '../system/kube/hwameistor-resources.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { keyOf, pods } from '../system/kube/resources.ts';

export interface MigrateRequestDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  readonly workflows: Pick<MigrationWorkflows, 'startOrFollow'>;
  readonly whyStays: StayJudge;
  /** What an empty Temporal server needs before a workflow can be started. */
  readonly prepareTemporal: () => Promise<void>;
  readonly now: () => Date;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

type Migrates = readonly LocalVolumeMigrate[];

/** Each such look at a request that no run has taken up is a signal to its volume's run, of which Temporal takes some thousands. */
const REGULAR_LOOK_MILLISECONDS = 60_000;

export class MigrateRequestTrigger {
  readonly #dependencies: MigrateRequestDependencies;
  readonly #queue: KeyedQueue;
  readonly #ends: (() => void)[] = [];

  constructor(dependencies: MigrateRequestDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (name) => this.#look(name),
      onError: (error, migration) =>
        dependencies.logger.warn({ error, migration }, 'a LocalVolumeMigrate could not be taken up, tried again'),
    });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(() => this.#add(() => true), REGULAR_LOOK_MILLISECONDS);
    this.#ends.push(
      () => clearInterval(regularLook),
      changes.subscribe('localVolumeMigrates', (name, now, before) => {
        if (now && isRequest(now)) this.#queue.add(name);
        const other = now ?? before;
        if (!other || standingOf(now) === standingOf(before)) return;
        // Begun, ended or gone: who waits for that, or moves with it, is concerned.
        this.#add(
          (request) => request.metadata.name !== name && (request.spec.volumeName === other.spec.volumeName || movesWith(request, other)),
        );
      }),
    );
    this.#add(() => true);
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await this.#queue.stop();
  }

  #add(concerns: (request: LocalVolumeMigrate) => boolean): void {
    const requests = this.#dependencies.stores.localVolumeMigrates.list().filter(isRequest);
    for (const request of requests.filter(concerns)) this.#queue.add(request.metadata.name);
  }

  async #look(name: string): Promise<void> {
    const { kube, stores, logger } = this.#dependencies;
    const seen = stores.localVolumeMigrates.get(keyOf({ name }));
    if (!seen || !isRequest(seen)) return;
    const known = await migrationsOf(kube, seen.spec.volumeName);
    const request = known.find(({ metadata }) => metadata.uid === seen.metadata.uid);
    if (!request || !isRequest(request)) return;
    const decision = await this.#decide(request, known);
    if (decision.kind === 'follow' && decision.name === request.status?.follows) return;
    await this.#act(request, known, decision);
    logger.info({ migration: name, volume: request.spec.volumeName, ...decision }, 'looked at a LocalVolumeMigrate that somebody made');
  }

  /** A refusal is final: before it is said, what it rests on is read live, because what the request names may have been made in the same breath. */
  async #decide(request: LocalVolumeMigrate, known: Migrates): Promise<MigrateRequestDecision> {
    const { kube, stores, whyStays } = this.#dependencies;
    const { volumeName, sourceNode } = request.spec;
    const common = await this.#facts(request, known);
    const isStorageNode = stores.localStorageNodes.get(keyOf({ name: sourceNode })) !== undefined;
    const replicaNodes = nodesOf(stores.localVolumes.get(keyOf({ name: volumeName })), replicasOf(stores, volumeName));
    const stays = whyStays(stores, volumeName, sourceNode);
    const decision = decideMigrateRequest({ ...common, isStorageNode, replicaNodes, stays });
    if (decision.kind !== 'end' || decision.reason === undefined) return decision;

    const [storageNode, replicas, live] = await Promise.all([
      kube.find(localStorageNodes, { name: sourceNode }),
      kube.list(localVolumeReplicas),
      withLiveWishes(kube, stores),
    ]);
    const localVolume = live.localVolumes.get(keyOf({ name: volumeName }));
    const standing = replicas.filter(({ spec }) => spec.volumeName === volumeName);
    return decideMigrateRequest({
      ...common,
      isStorageNode: storageNode !== undefined,
      replicaNodes: nodesOf(localVolume, standing),
      stays: whyStays(live, volumeName, sourceNode),
    });
  }

  async #facts(request: LocalVolumeMigrate, known: Migrates): Promise<Omit<MigrateRequestFacts, 'isStorageNode' | 'replicaNodes'>> {
    const { volumeName: volume, sourceNode, migrateAllVols, abort } = request.spec;
    const underWay = known.find(isOpen);
    const followed = followedBy(request, known);
    const { phase: outcome, message = '' } = followed?.status ?? {};
    const isOver = outcome === 'Completed' || outcome === 'Aborted';
    return {
      volume,
      sourceNode,
      migrateAllVols,
      withdrawn: abort ? 'aborted before it was begun' : await whyWithdrawn(this.#dependencies, request),
      underWay: underWay && describe(underWay),
      followed: followed && isOver ? { ...describe(followed), outcome, message } : undefined,
      companions: isCompanion(request) || underWay ? [] : companionsToMove(await this.#withPodsOf(volume), volume, sourceNode),
    };
  }

  /** The stores, with the pods live that may use the volume: one that was made in the same breath binds its volumes together, too. */
  async #withPodsOf(volume: string): Promise<ClusterStores> {
    const { kube, stores } = this.#dependencies;
    const claim = claimOf(stores, volume);
    if (!claim) return stores;
    const live = (await kube.list(pods, { namespace: claim.namespace })).map(viewPod);
    return { ...stores, pods: { list: () => live, get: (key) => live.find(({ metadata }) => keyOf(metadata) === key) } };
  }

  async #act(request: LocalVolumeMigrate, known: Migrates, decision: MigrateRequestDecision): Promise<void> {
    switch (decision.kind) {
      case 'begin': {
        const { workflows, prepareTemporal } = this.#dependencies;
        for (const companion of decision.withVolumes) await this.#askFor(companion, request);
        await prepareTemporal();
        return workflows.startOrFollow(inputOf(request));
      }
      case 'follow': {
        const { name: follows, message } = decision;
        return this.#write(request, { phase: 'Pending', state: stateOfPhase('Pending'), message, follows });
      }
      case 'end': {
        const { outcome: phase, message, reason } = decision;
        const target = phase === 'Completed' ? followedBy(request, known)?.status?.target : undefined;
        const endTime = this.#dependencies.now().toISOString();
        const status = { phase, state: stateOfPhase(phase), message, endTime };
        return this.#write(request, { ...status, ...(reason && { reason }), ...(target && { target, targetNode: target.node }) });
      }
    }
  }

  /** Of the request as it was judged: if it has changed since, or was begun, it is looked at again. */
  async #write({ metadata }: LocalVolumeMigrate, status: LocalVolumeMigrateStatus): Promise<void> {
    const { name, resourceVersion } = metadata;
    await this.#dependencies.kube.mergePatch(
      localVolumeMigrates,
      { name },
      { metadata: { resourceVersion }, status },
      { subresource: 'status' },
    );
  }

  /** The same for another volume, once: its name follows from both. */
  async #askFor(volume: string, { metadata, spec }: LocalVolumeMigrate): Promise<void> {
    const { [Annotation.replicaAffinity]: affinity } = metadata.annotations ?? {};
    const annotations = {
      [Annotation.movesWith]: metadata.name,
      ...(affinity !== undefined && { [Annotation.replicaAffinity]: affinity }),
    };
    const name = migrationName(volume, [metadata.uid]);
    // From the start: one that is deleted before it is begun is taken back, and the others with it.
    const finalizers = [MIGRATION_FINALIZER];
    const request = {
      metadata: { name, annotations, labels: labelsOf(volume, 'migrate-request'), finalizers },
      spec: { ...spec, volumeName: volume },
    };
    try {
      await this.#dependencies.kube.create(localVolumeMigrates, request);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
}

/** How far one is, as far as others care. */
function standingOf(migrate: LocalVolumeMigrate | undefined): 'gone' | 'asked for' | Phase {
  if (!migrate) return 'gone';
  return isOpen(migrate) || hasEnded(migrate) ? (migrate.status?.phase ?? 'Pending') : 'asked for';
}

/** Whoever asked for it has asked for its companions too. */
const isCompanion = ({ metadata }: LocalVolumeMigrate): boolean => metadata.annotations?.[Annotation.movesWith] !== undefined;

const describe = ({ metadata, spec }: LocalVolumeMigrate) => ({ name: metadata.name, sourceNode: spec.sourceNode });

function followedBy({ status }: LocalVolumeMigrate, known: Migrates): LocalVolumeMigrate | undefined {
  return known.find(({ metadata }) => metadata.name === status?.follows);
}

/** By whichever object says so, as a run looks at it. */
function nodesOf(localVolume: LocalVolume | undefined, replicas: readonly LocalVolumeReplica[]): readonly string[] | undefined {
  if (!localVolume) return undefined;
  const configured = (localVolume.spec.config?.replicas ?? []).map(({ hostname }) => hostname);
  return [...new Set([...configured, ...replicas.map(({ spec }) => spec.nodeName)])];
}

/** Those for which nobody has a LocalVolumeMigrate. */
function companionsToMove(stores: ClusterStores, volume: string, sourceNode: string): readonly string[] {
  const asked = new Set(
    stores.localVolumeMigrates
      .list()
      .filter((migrate) => !hasEnded(migrate))
      .map(({ spec }) => spec.volumeName),
  );
  const others = companionsOf(stores, volume, sourceNode).filter(({ metadata }) =>
    nodesOf(stores.localVolumes.get(metadata.name), replicasOf(stores, metadata.name))?.includes(sourceNode),
  );
  return others.map(({ metadata }) => metadata.name).filter((name) => !asked.has(name));
}

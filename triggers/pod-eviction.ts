/**
 * Evicted pods' volumes move to another node: from pods and the marks on their claims to `evict-pod-<uid>`.
 *
 * Level-triggered: a change only says which pod to look at, by its uid, and the decision is made from how pod and claims are then. A pod may be gone by
 * the next look, so what was last heard of it is kept until it has been looked at; what is to outlive this process stands on its claims. At the start,
 * and every ten minutes, each pod and each mark is looked at. An eviction that should run and does not is started again within seconds.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import {
  evictionMarksOf,
  findPod,
  isMarkedBy,
  markClaim,
  type PodEviction,
  podStateOf,
  unmarkClaim,
} from '../activities/cluster/eviction-marks.ts';
import type { ClusterStores, PodView } from '../activities/cluster/stores.ts';
import { claimNames, localVolumeOf } from '../activities/cluster/volume-objects.ts';
import { isEvictionDisabled } from '../core/domain/node-wish.ts';
import { decidePodEviction, hasBegun, type PodState } from '../core/domain/pod-eviction.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { keyOf, type PersistentVolumeClaim } from '../system/kube/resources.ts';
import type { WorkflowSignals } from './workflow-signals.ts';

export interface PodEvictionDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  readonly signals: Pick<WorkflowSignals, 'evictPod' | 'isEvictingPod' | 'lookAgain'>;
  /** What an empty Temporal server needs before a workflow can be started. */
  readonly prepareTemporal: () => Promise<void>;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/** Where a pod's volumes are, or were when it was last heard of. */
interface Known {
  readonly eviction: PodEviction;
  readonly namespace: string;
  readonly claims: readonly string[];
  /** The pod is gone: a claim without its mark is one that was taken back, or that nobody got to mark. Its eviction ends by it. */
  readonly byMarks?: true;
}

const REGULAR_LOOK_MILLISECONDS = 10 * 60 * 1000;
const LOST_LOOK_MILLISECONDS = 15 * 1000;

export class PodEvictionTrigger {
  readonly #dependencies: PodEvictionDependencies;
  readonly #queue: KeyedQueue;
  readonly #maybeLost: KeyedQueue;
  readonly #ends: (() => void)[] = [];
  /** By uid, pods that concern this trigger and have not been looked at since they were last heard of. */
  readonly #heard = new Map<string, PodView>();

  constructor(dependencies: PodEvictionDependencies) {
    this.#dependencies = dependencies;
    const onError = (error: unknown, uid: string) =>
      dependencies.logger.warn({ error, uid }, 'the eviction of a pod could not be told, tried again');
    this.#queue = new KeyedQueue({ process: (uid) => this.#look(uid), onError });
    this.#maybeLost = new KeyedQueue({ process: (uid) => this.#startIfLost(uid), onError });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(() => this.#lookAtAll(), REGULAR_LOOK_MILLISECONDS);
    const lostLook = setInterval(() => {
      for (const { uid } of this.#marks()) this.#maybeLost.add(uid);
    }, LOST_LOOK_MILLISECONDS);
    this.#ends.push(
      () => clearInterval(regularLook),
      () => clearInterval(lostLook),
      changes.subscribe('pods', (_, now, before) => this.#hear(now, before)),
      changes.subscribe('nodes', (name, now, before) => {
        if (isEvictionDisabled(now) !== isEvictionDisabled(before))
          for (const mark of this.#marks()) if (mark.node === name) this.#queue.add(mark.uid);
      }),
      changes.subscribe('persistentVolumeClaims', (_, now, before) => this.#hearOfClaim(now, before)),
      changes.subscribe('localVolumeMigrates', (_, now, before) => {
        // What cannot go on holds pods back.
        const isParked = now?.status?.phase === 'NeedsAttention' && before?.status?.phase !== 'NeedsAttention';
        if (isParked) for (const mark of this.#marks()) if (mark.node === now.spec.sourceNode) this.#queue.add(mark.uid);
      }),
    );
    this.#lookAtAll();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    this.#heard.clear();
    await Promise.all([this.#queue.stop(), this.#maybeLost.stop()]);
  }

  #lookAtAll(): void {
    for (const pod of this.#dependencies.stores.pods.list()) this.#hear(pod, undefined);
    for (const { uid } of this.#marks()) this.#queue.add(uid);
  }

  #hear(now: PodView | undefined, before: PodView | undefined): void {
    const pod = now ?? before;
    if (!pod || claimNames(pod).length === 0) return;
    const state = now ? podStateOf(now) : { ...podStateOf(pod), deleting: true };
    if (decidePodEviction({ pod: state, marked: this.#isMarked(pod) }) === 'nothing') return;
    this.#heard.set(pod.metadata.uid, pod);
    this.#queue.add(pod.metadata.uid);
  }

  /** One that carries a mark no more lets its volume's migration look whether it is still wanted; of its end the eviction hears. */
  #hearOfClaim(now: PersistentVolumeClaim | undefined, before: PersistentVolumeClaim | undefined): void {
    const [marks, old] = [now, before].map((claim) => (claim ? evictionMarksOf(claim).map(({ uid }) => uid) : []));
    for (const uid of marks!) if (!old!.includes(uid)) this.#queue.add(uid);
    if (before && old!.some((uid) => !marks!.includes(uid))) {
      const volume = localVolumeOf(this.#dependencies.stores, before);
      if (volume !== undefined) void this.#dependencies.signals.lookAgain(volume).catch(() => undefined);
    }
  }

  #isMarked(pod: PodView): boolean {
    const { namespace = '', uid } = pod.metadata;
    const claims = claimNames(pod).map((name) => this.#dependencies.stores.persistentVolumeClaims.get(keyOf({ namespace, name })));
    return claims.some((claim) => isMarkedBy(claim, uid));
  }

  #marks(): readonly PodEviction[] {
    return this.#dependencies.stores.persistentVolumeClaims.list().flatMap(evictionMarksOf);
  }

  async #look(uid: string): Promise<void> {
    const { signals, logger } = this.#dependencies;
    const heard = this.#heard.get(uid);
    const known = this.#known(uid, heard);
    if (known) {
      const marked = this.#marks().some((mark) => mark.uid === uid);
      const pod = await this.#podOf(known, heard);
      const decision = decidePodEviction({ pod, marked });
      if (decision === 'start' || decision === 'mark') await this.#mark(known);
      if (decision === 'unmark') await this.#unmark(known);
      if (decision === 'start') await signals.evictPod(inputOf(known));
      if (decision !== 'nothing')
        logger.info(
          { pod: known.eviction.pod, namespace: known.namespace, uid, decision },
          'looked at a pod whose volumes may have to move',
        );
    }
    if (this.#heard.get(uid) === heard) this.#heard.delete(uid);
  }

  /** Of a pod that was heard of to leave and is gone now, how it was: its claims may know nothing of it yet. */
  async #podOf({ eviction, namespace }: Known, heard: PodView | undefined): Promise<PodState | undefined> {
    const found = await findPod(this.#dependencies.kube, { namespace, name: eviction.pod }, eviction.uid);
    return found ?? (heard && { ...podStateOf(heard), deleting: true });
  }

  async #startIfLost(uid: string): Promise<void> {
    const { kube, signals, prepareTemporal, logger } = this.#dependencies;
    const known = this.#known(uid, undefined);
    if (!known) return;
    const { namespace, eviction } = known;
    if (!hasBegun(await findPod(kube, { namespace, name: eviction.pod }, uid)) || (await signals.isEvictingPod(uid))) return;
    await prepareTemporal();
    await signals.evictPod(inputOf(known));
    logger.info({ pod: eviction.pod, namespace, uid }, "the pod's eviction did not run any more and is started again");
  }

  /** By the pod itself, else by what its claims say. undefined: it has no volume of ours. */
  #known(uid: string, heard: PodView | undefined): Known | undefined {
    const { stores } = this.#dependencies;
    const pod = heard ?? stores.pods.list().find(({ metadata }) => metadata.uid === uid);
    const node = pod?.spec?.nodeName;
    if (pod?.metadata.namespace && node !== undefined) {
      const { namespace, name } = pod.metadata;
      const claims = claimNames(pod).filter((claim) => this.#isOurs(stores.persistentVolumeClaims.get(keyOf({ namespace, name: claim }))));
      return claims.length === 0 ? undefined : { eviction: { uid, pod: name, node, claims }, namespace, claims };
    }
    const marked = stores.persistentVolumeClaims.list().filter((claim) => isMarkedBy(claim, uid));
    const eviction = marked.flatMap(evictionMarksOf).find((mark) => mark.uid === uid);
    const namespace = marked[0]?.metadata.namespace;
    return eviction && namespace
      ? { eviction, namespace, claims: [...new Set([...marked.map(({ metadata }) => metadata.name), ...eviction.claims])], byMarks: true }
      : undefined;
  }

  /** A claim that is a part of its pod goes with it: there is nothing to move. */
  #isOurs(claim: PersistentVolumeClaim | undefined): boolean {
    const isPartOfPod = claim?.metadata.ownerReferences?.some(({ kind, controller }) => kind === 'Pod' && controller) === true;
    return claim !== undefined && !isPartOfPod && localVolumeOf(this.#dependencies.stores, claim) !== undefined;
  }

  async #mark({ eviction, namespace, claims, byMarks }: Known): Promise<void> {
    if (byMarks) return;
    const { kube, stores } = this.#dependencies;
    for (const name of claims) {
      const claim = stores.persistentVolumeClaims.get(keyOf({ namespace, name }));
      if (!isMarkedBy(claim, eviction.uid)) await markClaim(kube, { namespace, name }, eviction);
    }
  }

  async #unmark({ eviction, namespace, claims }: Known): Promise<void> {
    for (const name of claims) await unmarkClaim(this.#dependencies.kube, { namespace, name }, eviction.uid);
  }
}

function inputOf({ eviction: { uid, pod, node }, namespace, claims }: Known) {
  return { pod: { namespace, name: pod, uid }, node, claims };
}

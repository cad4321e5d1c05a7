/**
 * Pods that were kept from being scheduled because of their volumes: the gate goes as soon as nothing holds them back.
 *
 * Judged anew, live, on every change of what they wait for and every few seconds, so that none stays behind a gate because a word was lost, or because
 * it was created in the moment in which its volume arrived; and also beside a live HwameiStor, for moves that are under way go on. What is then required
 * of its node is written together with the gate's removal: later the API server would not allow it.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import { affinityFor, judgePod } from '../activities/cluster/pod-admission.ts';
import type { StayJudge } from '../activities/cluster/stay.ts';
import type { ClusterStores, PodView } from '../activities/cluster/stores.ts';
import { claimNames } from '../activities/cluster/volume-objects.ts';
import { SCHEDULING_GATE } from '../core/contracts/names.ts';
import { isToBeEmptied } from '../core/domain/node-wish.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { isConflict, isNotFound } from '../system/kube/errors.ts';
import { type EventRecorder, regarding } from '../system/kube/events.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';
import { keyOf, type Pod, pods } from '../system/kube/resources.ts';

export interface GatedPodsDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly whyStays: StayJudge;
  readonly isActive: () => boolean;
  readonly changes: ClusterChanges;
  readonly events: Pick<EventRecorder, 'tell'>;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

const COALESCE_MILLISECONDS = 200;
const REGULAR_LOOK_MILLISECONDS = 5000;

export class GatedPodsReconciler {
  readonly #dependencies: GatedPodsDependencies;
  readonly #queue: KeyedQueue;
  readonly #ends: (() => void)[] = [];
  /** By uid, what a pod was told last that it waits for. */
  readonly #told = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(dependencies: GatedPodsDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (key) => this.#reconcile(key),
      onError: (error, pod) =>
        dependencies.logger.warn({ error, pod }, 'a pod that waits for its volumes could not be looked at, tried again'),
    });
  }

  start(): void {
    const { changes } = this.#dependencies;
    const regularLook = setInterval(() => this.#lookAtAll(), REGULAR_LOOK_MILLISECONDS);
    const lookSoon = () => this.#lookSoon();
    this.#ends.push(
      () => clearInterval(regularLook),
      () => clearTimeout(this.#timer),
      changes.subscribe('pods', (key, now, before) => {
        if (!now && before) this.#told.delete(before.metadata.uid);
        if (now && isGated(now)) this.#queue.add(key);
        // One that lasts is what another may wait for.
        else if (!now || now.status?.phase !== before?.status?.phase) lookSoon();
      }),
      changes.subscribe('nodes', (_, now, before) => {
        if (isToBeEmptied(now) !== isToBeEmptied(before)) lookSoon();
      }),
      changes.subscribe('persistentVolumeClaims', lookSoon),
      changes.subscribe('localVolumes', lookSoon),
      changes.subscribe('localVolumeReplicas', lookSoon),
      changes.subscribe('localVolumeMigrates', (_, now, before) => {
        if (!now || !before || now.status?.phase !== before.status?.phase || now.spec.abort !== before.spec.abort) lookSoon();
      }),
    );
    this.#lookAtAll();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    this.#timer = undefined;
    await this.#queue.stop();
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#lookAtAll();
    }, COALESCE_MILLISECONDS);
  }

  #lookAtAll(): void {
    for (const pod of this.#dependencies.stores.pods.list()) if (isGated(pod)) this.#queue.add(keyOf(pod.metadata));
  }

  async #reconcile(key: string): Promise<void> {
    const { kube, stores, logger } = this.#dependencies;
    const seen = stores.pods.get(key);
    const namespace = seen?.metadata.namespace;
    if (!seen || namespace === undefined) return;
    const pod = await kube.find(pods, { namespace, name: seen.metadata.name });
    if (!pod || !isGated(pod) || pod.metadata.deletionTimestamp !== undefined) return;
    const admission = await judgePod(this.#dependencies, namespace, claimNames(pod));
    if (admission.waitsFor.length > 0) return this.#tell(pod, `waits for ${admission.waitsFor.join(', and for ')}`);
    await this.#release(pod, affinityFor(pod.spec?.affinity, admission));
    logger.info(
      { pod: pod.metadata.name, namespace, nodeLists: admission.nodeLists },
      'a pod has waited for its volumes, and may be scheduled',
    );
  }

  async #release({ metadata, spec }: Pod, affinity: NonNullable<Pod['spec']>['affinity']): Promise<void> {
    const { uid, resourceVersion, name, namespace = '' } = metadata;
    const others = (spec?.schedulingGates ?? []).filter((gate) => gate.name !== SCHEDULING_GATE);
    const change = { schedulingGates: others.length > 0 ? others : null, ...(affinity && { affinity }) };
    try {
      await this.#dependencies.kube.mergePatch(pods, { namespace, name }, { metadata: { uid, resourceVersion }, spec: change });
    } catch (error) {
      if (isNotFound(error)) return;
      // The change that came between is on its way here; a pod has few.
      if (!isConflict(error)) throw error;
      this.#lookSoon();
    }
  }

  /** Once: the Event says why `kubectl get pods` shows SchedulingGated. */
  async #tell(pod: Pod, note: string): Promise<void> {
    if (this.#told.get(pod.metadata.uid) === note) return;
    this.#told.set(pod.metadata.uid, note);
    await this.#dependencies.events.tell({ regarding: regarding(pods, pod), reason: 'WaitingForVolume', note });
  }
}

function isGated({ spec }: PodView): boolean {
  return spec?.schedulingGates?.some(({ name }) => name === SCHEDULING_GATE) === true;
}

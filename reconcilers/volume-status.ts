/**
 * Keeps `state` and `replicas` in the status of every LocalVolume as its replicas are: with HwameiStor's controller away nobody else does.
 *
 * Judged from the stores on every change of a volume or a replica, and written only where it differs. Stores of different kinds may lag behind each
 * other by a moment; whatever is written in between is put right by the change that was late.
 */
import type { ClusterChanges } from '../activities/cluster/changes.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import { replicasOf } from '../activities/cluster/volume-objects.ts';
import { mergePatchBetween } from '../core/domain/merge-patch.ts';
import { judgeVolume, type VolumeJudgement } from '../core/domain/volume-status.ts';
import type { KubeClient, MergePatch } from '../system/kube/client.ts';
import { isConflict, isNotFound } from '../system/kube/errors.ts';
import { localVolumes } from '../system/kube/hwameistor-resources.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';

export interface VolumeStatusDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly changes: ClusterChanges;
  readonly logger: { warn(fields: object, message: string): void };
}

export class VolumeStatusReconciler {
  readonly #dependencies: VolumeStatusDependencies;
  readonly #queue: KeyedQueue;
  readonly #ends: (() => void)[] = [];

  constructor(dependencies: VolumeStatusDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (volume) => this.#reconcile(volume),
      onError: (error, volume) => dependencies.logger.warn({ error, volume }, 'the status of a volume could not be written, tried again'),
    });
  }

  start(): void {
    const { changes, stores } = this.#dependencies;
    this.#ends.push(
      changes.subscribe('localVolumes', (volume) => this.#queue.add(volume)),
      changes.subscribe('localVolumeReplicas', (_, now, before) => {
        for (const replica of [now, before]) if (replica) this.#queue.add(replica.spec.volumeName);
      }),
    );
    for (const { metadata } of stores.localVolumes.list()) this.#queue.add(metadata.name);
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await this.#queue.stop();
  }

  /** Compare-and-swap: a volume that is cut over at this moment has the last word. */
  async #reconcile(name: string): Promise<void> {
    const { kube, stores } = this.#dependencies;
    const localVolume = stores.localVolumes.get(name);
    if (!localVolume) return;
    const judged = judgeVolume(localVolume, replicasOf(stores, name));
    const { state = '', replicas = [] } = localVolume.status ?? {};
    const status = judged && (mergePatchBetween({ state, replicas }, judged) as MergePatch<VolumeJudgement> | undefined);
    if (!status) return;
    const patch = { metadata: { resourceVersion: localVolume.metadata.resourceVersion }, status };
    try {
      await kube.mergePatch(localVolumes, { name }, patch, { subresource: 'status' });
    } catch (error) {
      // The change that came between is on its way here and brings the next look.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }
}

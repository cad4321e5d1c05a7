/** One watcher for each kind of object that the controller reads: whatever the number of volumes, these are all its requests for reading. */
import type { ChangeListener, ClusterChanges, ClusterObjects } from '../../activities/cluster/changes.ts';
import { type ClusterStores, viewCsiNode, viewPod } from '../../activities/cluster/stores.ts';
import type { KubeClient, Selection } from '../../system/kube/client.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { watchLease } from '../../system/kube/lease.ts';
import {
  csiNodes,
  type KubeObject,
  leases,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  type Resource,
  volumeAttachments,
} from '../../system/kube/resources.ts';
import { Watcher, withoutManagedFields } from '../../system/kube/watcher.ts';
import type { Logger } from '../logging.ts';

export interface ClusterWatchersOptions {
  readonly kube: KubeClient;
  /** Where the agents' Leases are. */
  readonly namespace: string;
  readonly logger: Logger;
}

type AnyWatcher = Pick<Watcher<KubeObject, unknown>, 'start' | 'stop' | 'waitForSync'>;

export class ClusterWatchers implements ClusterChanges {
  readonly stores: ClusterStores;
  readonly #options: ClusterWatchersOptions;
  readonly #watchers: AnyWatcher[] = [];
  readonly #listeners = new Map<keyof ClusterObjects, Set<ChangeListener<never>>>();

  constructor(options: ClusterWatchersOptions) {
    this.#options = options;
    this.stores = {
      nodes: this.#whole('nodes', nodes),
      pods: this.#watch('pods', pods, viewPod),
      persistentVolumes: this.#whole('persistentVolumes', persistentVolumes),
      persistentVolumeClaims: this.#whole('persistentVolumeClaims', persistentVolumeClaims),
      volumeAttachments: this.#whole('volumeAttachments', volumeAttachments),
      csiNodes: this.#watch('csiNodes', csiNodes, viewCsiNode),
      leases: this.#watch('leases', leases, watchLease, { namespace: options.namespace }),
      localVolumes: this.#whole('localVolumes', localVolumes),
      localVolumeReplicas: this.#whole('localVolumeReplicas', localVolumeReplicas),
      localStorageNodes: this.#whole('localStorageNodes', localStorageNodes),
      localVolumeMigrates: this.#whole('localVolumeMigrates', localVolumeMigrates),
    };
  }

  start(): void {
    for (const watcher of this.#watchers) watcher.start();
  }

  /** @throws where one of them has not read its kind in time, with the reason. */
  async waitForSync(timeoutSeconds: number): Promise<void> {
    await Promise.all(this.#watchers.map((watcher) => watcher.waitForSync(timeoutSeconds)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#watchers.map((watcher) => watcher.stop()));
  }

  subscribe<Kind extends keyof ClusterObjects>(kind: Kind, listener: ChangeListener<ClusterObjects[Kind]>): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  #whole<T extends KubeObject>(kind: keyof ClusterObjects, resource: Resource<T>, selection: Selection = {}): Watcher<T> {
    return this.#watch(kind, resource, withoutManagedFields, selection);
  }

  #watch<T extends KubeObject, P>(
    kind: keyof ClusterObjects,
    resource: Resource<T>,
    project: (object: T, before: P | undefined) => P,
    selection: Selection = {},
  ): Watcher<T, P> {
    const { kube, logger } = this.#options;
    const watcher = new Watcher<T, P>({
      client: kube,
      resource,
      selection,
      project,
      onChange: (key, now, before) => this.#tell(kind, key, now, before),
      onError: (error) => logger.warn({ error }, `watch of ${resource.plural} interrupted, tried again`),
    });
    this.#watchers.push(watcher);
    return watcher;
  }

  #tell(kind: keyof ClusterObjects, key: string, now: unknown, before: unknown): void {
    for (const listener of this.#listeners.get(kind) ?? []) (listener as ChangeListener<unknown>)(key, now, before);
  }
}

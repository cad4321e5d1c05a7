/** Where pods are, and where they are going to be: what they ask of a node is asked of it before they start there. */
import { isOpen } from './migration-objects.ts';
import type { StorageNodes } from './storage-nodes.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { hasEnded, volumesOf } from './volume-objects.ts';

export interface PodPlaces {
  readonly pod: PodView;
  /** Those of ours that it uses. */
  readonly volumes: readonly string[];
  /** Where it runs, and where its volumes go; while it waits, where they are. Several while it is on its way from one to another. */
  readonly nodes: ReadonlySet<string>;
}

/**
 * Of the pods that have not ended.
 * @param storageNodes as they are live: of two volumes that are placed at once, the second is to know where the first goes.
 */
export function podPlacesOf(stores: ClusterStores, storageNodes: StorageNodes): readonly PodPlaces[] {
  const targets = targetsOf(storageNodes);
  const sources = new Map(
    stores.localVolumeMigrates.list().flatMap((each) => (isOpen(each) ? [[each.spec.volumeName, each.spec.sourceNode]] : [])),
  );
  const replicas = Map.groupBy(stores.localVolumeReplicas.list(), ({ spec }) => spec.volumeName);
  const restingPlaces = (volume: string): readonly string[] =>
    (replicas.get(volume) ?? []).flatMap(({ spec }) => (spec.nodeName === sources.get(volume) ? [] : [spec.nodeName]));

  return stores.pods.list().flatMap((pod) => {
    if (hasEnded(pod)) return [];
    const { nodeName } = pod.spec ?? {};
    const volumes = volumesOf(stores, pod);
    const own = nodeName === undefined ? volumes.flatMap(restingPlaces) : [nodeName];
    return [{ pod, volumes, nodes: new Set([...own, ...volumes.flatMap((volume) => targets.get(volume) ?? [])]) }];
  });
}

/** By volume, where it has reserved room. */
function targetsOf(storageNodes: StorageNodes): ReadonlyMap<string, readonly string[]> {
  const targets = new Map<string, string[]>();
  for (const [name, { reservations }] of storageNodes) {
    for (const volume of reservations.keys()) targets.set(volume, [...(targets.get(volume) ?? []), name]);
  }
  return targets;
}

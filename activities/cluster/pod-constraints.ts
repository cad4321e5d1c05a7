/** What the pods of a volume ask of a node, put together from the objects. */
import { TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import type { LocalStorageNode } from '../../core/contracts/objects/index.ts';
import { type AffinePod, type PlacedPod, topologyRules } from '../../core/domain/pod-affinity.ts';
import type { PodConstraints } from '../../core/domain/pod-fit.ts';
import { withoutRequirementsOf } from '../../core/domain/pod-gate.ts';
import { reservationsOf } from '../../system/kube/reservations.ts';
import { keyOf } from '../../system/kube/resources.ts';
import { isOpen } from './migration-objects.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { hasEnded, replicasOf, volumesOf } from './volume-objects.ts';
import { usersOf } from './volume-users.ts';

/**
 * Of each pod that uses the volume.
 * @param companions the other volumes that move with it.
 * @param storageNodes as they are live: of two volumes that are placed at once, the second is to know where the first goes.
 */
export function podConstraintsOf(
  stores: ClusterStores,
  volume: string,
  companions: readonly string[],
  storageNodes: Iterable<LocalStorageNode>,
): readonly PodConstraints[] {
  const users = usersOf(stores, volume);
  if (users.length === 0) return [];
  const along = new Set([...users, ...companions.flatMap((companion) => usersOf(stores, companion))]);
  const others = placedPods(stores, storageNodes).filter(({ pod }) => !along.has(pod));
  return users.map((pod) => {
    const beside = [...along].filter((other) => other !== pod).map(affinePod);
    return { ...constraintsOf(pod), topology: topologyRules(affinePod(pod), beside, others) };
  });
}

/** Each pod on every node where it is or is going to be: where its volumes go, and while it waits, where they are. */
function placedPods(stores: ClusterStores, storageNodes: Iterable<LocalStorageNode>): (PlacedPod & { readonly pod: PodView })[] {
  const targets = new Map(
    Array.from(storageNodes).flatMap((node) => Array.from(reservationsOf(node).keys(), (volume) => [volume, node.metadata.name] as const)),
  );
  const sources = new Map(
    stores.localVolumeMigrates.list().flatMap((each) => (isOpen(each) ? [[each.spec.volumeName, each.spec.sourceNode]] : [])),
  );
  const restingPlaces = (volume: string): readonly string[] =>
    replicasOf(stores, volume).flatMap(({ spec }) => (spec.nodeName === sources.get(volume) ? [] : [spec.nodeName]));

  return stores.pods.list().flatMap((pod) => {
    if (hasEnded(pod)) return [];
    const { nodeName } = pod.spec ?? {};
    const volumes = volumesOf(stores, pod);
    const own = nodeName === undefined ? volumes.flatMap(restingPlaces) : [nodeName];
    const places = new Set([...own, ...volumes.flatMap((volume) => targets.get(volume) ?? [])]);
    return Array.from(places).flatMap((name) => {
      const nodeLabels = stores.nodes.get(keyOf({ name }))?.metadata.labels;
      return nodeLabels ? [{ ...affinePod(pod), pod, nodeLabels }] : [];
    });
  });
}

function affinePod({ metadata, spec }: PodView): AffinePod {
  return {
    namespace: metadata.namespace ?? '',
    labels: metadata.labels ?? {},
    affinity: spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [],
    antiAffinity: spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [],
  };
}

/**
 * Its nodeName is where it runs now; the PersistentVolume's nodeAffinity, and what stands in its place in a pod, where the volume is now: none of them
 * says where they may go.
 */
function constraintsOf({ spec }: PodView): PodConstraints {
  return {
    tolerations: spec?.tolerations ?? [],
    nodeSelector: spec?.nodeSelector ?? {},
    nodeTerms: withoutRequirementsOf(
      TOPOLOGY_KEY,
      spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    ),
  };
}

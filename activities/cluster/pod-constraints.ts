/** What the pods of volumes that move together ask of a node, put together from the objects. */
import { TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import type { UsingPod } from '../../core/domain/placement.ts';
import { type AffinePod, type PlacedPod, topologyRules } from '../../core/domain/pod-affinity.ts';
import type { PodConstraints } from '../../core/domain/pod-fit.ts';
import { withoutRequirementsOf } from '../../core/domain/pod-gate.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { PodPlaces } from './pod-places.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { usersOf } from './volume-users.ts';

/**
 * Of each pod that uses one of the volumes: all of them start where these go, or nowhere.
 * @param elsewhere those of them that do not leave: pods that use no other one of them stay where they are.
 * @param places of all pods.
 */
export function podConstraintsOf(
  stores: ClusterStores,
  together: readonly string[],
  elsewhere: readonly string[],
  places: readonly PodPlaces[],
): readonly UsingPod[] {
  const along = new Set(together.flatMap((volume) => usersOf(stores, volume)));
  const leaving = new Set(together.filter((volume) => !elsewhere.includes(volume)).flatMap((volume) => usersOf(stores, volume)));
  if (leaving.size === 0) return [];
  const others = places.filter(({ pod }) => !along.has(pod)).flatMap((each) => placedPods(stores, each));
  return [...leaving].map((pod) => {
    const beside = [...along].filter((other) => other !== pod).map(affinePod);
    return { uid: pod.metadata.uid, ...constraintsOf(pod), topology: topologyRules(affinePod(pod), beside, others) };
  });
}

/** The pod on each of its nodes. */
function placedPods({ nodes: known }: ClusterStores, { pod, nodes }: PodPlaces): readonly PlacedPod[] {
  return Array.from(nodes).flatMap((name) => {
    const nodeLabels = known.get(keyOf({ name }))?.metadata.labels;
    return nodeLabels ? [{ ...affinePod(pod), nodeLabels }] : [];
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

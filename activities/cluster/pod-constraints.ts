/** What the pods of a volume ask of a node, put together from the objects. */
import { TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import { type AffinePod, type RunningPod, topologyRules } from '../../core/domain/pod-affinity.ts';
import type { PodConstraints } from '../../core/domain/pod-fit.ts';
import { withoutRequirementsOf } from '../../core/domain/pod-gate.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { hasEnded } from './volume-objects.ts';
import { usersOf } from './volume-users.ts';

/** Of each pod that uses the volume. @param companions the other volumes that move with it. */
export function podConstraintsOf(stores: ClusterStores, volume: string, companions: readonly string[]): readonly PodConstraints[] {
  const users = usersOf(stores, volume);
  if (users.length === 0) return [];
  const along = new Set([...users, ...companions.flatMap((companion) => usersOf(stores, companion))]);
  const others = runningPods(stores).filter(({ pod }) => !along.has(pod));
  return users.map((pod) => {
    const beside = [...along].filter((other) => other !== pod).map(affinePod);
    return { ...constraintsOf(pod), topology: topologyRules(affinePod(pod), beside, others) };
  });
}

function runningPods({ pods, nodes }: ClusterStores): (RunningPod & { readonly pod: PodView })[] {
  return pods.list().flatMap((pod) => {
    const node = pod.spec?.nodeName;
    const nodeLabels = node === undefined ? undefined : nodes.get(keyOf({ name: node }))?.metadata.labels;
    return nodeLabels && !hasEnded(pod) ? [{ ...affinePod(pod), pod, nodeLabels }] : [];
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

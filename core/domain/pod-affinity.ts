/**
 * Where a pod may run because of other pods: required pod affinity and anti-affinity, judged as the scheduler's plugin InterPodAffinity does, but for one
 * thing: a pod that waits counts where its volume is or goes, as it is going to start there. Of two volumes that leave two nodes at once, whose pods keep
 * apart, one pod could else never start. Preferences are left to the scheduler.
 */
import { labelOf, matchesRequirement, type NodeRequirement, type TopologyRules } from './pod-fit.ts';

/** Of Pod.spec.affinity. What `matchLabelKeys` and `mismatchLabelKeys` say the API server has put into the selector. */
export interface PodAffinityTerm {
  readonly topologyKey: string;
  /** undefined: it selects no pod. */
  readonly labelSelector?: LabelSelector | undefined;
  /** Beside those of the selector; with neither, the pod's own. */
  readonly namespaces?: readonly string[] | undefined;
  /** Labels of namespaces are not known: any selector, as the empty one does, selects all of them. */
  readonly namespaceSelector?: object | undefined;
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?: readonly NodeRequirement[] | undefined;
}

export interface AffinePod {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Required ones alone. */
  readonly affinity: readonly PodAffinityTerm[];
  readonly antiAffinity: readonly PodAffinityTerm[];
}

/** On one node; a pod that is on its way from one to another counts on both. */
export interface PlacedPod extends AffinePod {
  readonly nodeLabels: Readonly<Record<string, string>>;
}

/**
 * @param along the other pods that go where it goes, because they use volumes that move with its own: wherever that is, they are beside it.
 * @param others all that have a node or are going to have one, but for those.
 */
export function topologyRules(pod: AffinePod, along: readonly AffinePod[], others: readonly PlacedPod[]): TopologyRules {
  return { avoided: avoidedBy(pod, others), required: requiredBy(pod, along, others) };
}

/** Anti-affinity counts in both directions: those that are there keep this one away, too. */
function avoidedBy(pod: AffinePod, others: readonly PlacedPod[]): TopologyRules['avoided'] {
  const avoided = new Map<string, Set<string>>();
  for (const other of others) {
    const terms = [
      ...pod.antiAffinity.filter((term) => selects(term, pod.namespace, other)),
      ...other.antiAffinity.filter((term) => selects(term, other.namespace, pod)),
    ];
    for (const { topologyKey } of terms) {
      const value = labelOf(other.nodeLabels, topologyKey);
      if (value !== undefined) avoided.set(topologyKey, (avoided.get(topologyKey) ?? new Set()).add(value));
    }
  }
  return avoided;
}

/** A pod counts that all terms select. Where none does, the first of a series that asks for its own kind may run anywhere. */
function requiredBy(pod: AffinePod, along: readonly AffinePod[], others: readonly PlacedPod[]): TopologyRules['required'] {
  const counts = (other: AffinePod) => pod.affinity.every((term) => selects(term, pod.namespace, other));
  const beside = others.filter(counts);
  const places = pod.affinity.map(({ topologyKey: key }) => {
    const values = beside.map(({ nodeLabels }) => labelOf(nodeLabels, key)).filter((value) => value !== undefined);
    return { key, values: new Set(values) };
  });
  const isFirst = places.every(({ values }) => values.size === 0) && counts(pod);
  const isBesideAnyway = isFirst || along.some(counts);
  return new Map(places.map(({ key, values }) => [key, isBesideAnyway ? 'any' : values]));
}

function selects({ labelSelector, namespaces = [], namespaceSelector }: PodAffinityTerm, ownNamespace: string, pod: AffinePod): boolean {
  if (!labelSelector) return false;
  const inNamespace = namespaceSelector !== undefined || (namespaces.length > 0 ? namespaces : [ownNamespace]).includes(pod.namespace);
  const { matchLabels = {}, matchExpressions = [] } = labelSelector;
  return (
    inNamespace &&
    Object.entries(matchLabels).every(([key, value]) => labelOf(pod.labels, key) === value) &&
    matchExpressions.every((requirement) => matchesRequirement(requirement, pod.labels))
  );
}

/**
 * May this pod run on that node? The part of the scheduler's rules that decides where a volume is of use: taints, nodeSelector, required affinity to
 * nodes and pods, as in Kubernetes' reference of the pod. Preferences and resources are left to the scheduler.
 */

/** Of Node.spec.taints. */
export interface Taint {
  readonly key: string;
  readonly value?: string | undefined;
  readonly effect: string;
}

/** Of Pod.spec.tolerations. */
export interface Toleration {
  readonly key?: string | undefined;
  readonly operator?: string | undefined;
  readonly value?: string | undefined;
  readonly effect?: string | undefined;
}

export interface NodeRequirement {
  readonly key: string;
  /** In, NotIn, Exists, DoesNotExist, Gt, Lt. Any other matches nothing. */
  readonly operator: string;
  readonly values?: readonly string[] | undefined;
}

/** All requirements of a term must hold; a term without any matches nothing. */
export interface NodeTerm {
  readonly matchExpressions?: readonly NodeRequirement[] | undefined;
  readonly matchFields?: readonly NodeRequirement[] | undefined;
}

/** Where a pod may run. */
export interface PodConstraints {
  readonly tolerations: readonly Toleration[];
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** Required node affinity: one of the terms must match. undefined: none is required. */
  readonly nodeTerms?: readonly NodeTerm[] | undefined;
  /** What other pods have to do with it. undefined: nothing. */
  readonly topology?: TopologyRules | undefined;
}

/** Of a node's labels, by key. */
export interface TopologyRules {
  /** The node must have none of these values. */
  readonly avoided: ReadonlyMap<string, ReadonlySet<string>>;
  /** The node must have one of these values; `any`: it must have the label. */
  readonly required: ReadonlyMap<string, ReadonlySet<string> | 'any'>;
}

export interface NodeTraits {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
}

/** Keeps pods away: PreferNoSchedule does not. */
export const keepsPodsAway = (taint: Taint): boolean => taint.effect === 'NoSchedule' || taint.effect === 'NoExecute';

/** @returns the first reason against it. */
export function podRefusal(
  pod: PodConstraints,
  node: NodeTraits,
): 'NodeTainted' | 'NodeSelectorMismatch' | 'PodAffinityMismatch' | 'PodAntiAffinityMismatch' | undefined {
  const barrier = node.taints.find((taint) => keepsPodsAway(taint) && !pod.tolerations.some((toleration) => tolerates(toleration, taint)));
  if (barrier) return 'NodeTainted';
  const selected = Object.entries(pod.nodeSelector).every(([key, value]) => node.labels[key] === value);
  const admitted = pod.nodeTerms === undefined || pod.nodeTerms.some((term) => matchesTerm(term, node));
  if (!selected || !admitted) return 'NodeSelectorMismatch';
  return pod.topology && topologyRefusal(pod.topology, node);
}

function topologyRefusal({ avoided, required }: TopologyRules, { labels }: NodeTraits) {
  for (const [key, values] of required) {
    const value = labelOf(labels, key);
    if (value === undefined || (values !== 'any' && !values.has(value))) return 'PodAffinityMismatch';
  }
  for (const [key, values] of avoided) {
    const value = labelOf(labels, key);
    if (value !== undefined && values.has(value)) return 'PodAntiAffinityMismatch';
  }
  return undefined;
}

function tolerates({ key = '', operator = 'Equal', value = '', effect = '' }: Toleration, taint: Taint): boolean {
  if (effect !== '' && effect !== taint.effect) return false;
  if (key === '') return operator === 'Exists';
  if (key !== taint.key) return false;
  return operator === 'Exists' || (operator === 'Equal' && value === (taint.value ?? ''));
}

function matchesTerm({ matchExpressions = [], matchFields = [] }: NodeTerm, node: NodeTraits): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  // The one field that the API server admits.
  const fields = { 'metadata.name': node.name };
  return (
    matchExpressions.every((requirement) => matchesRequirement(requirement, node.labels)) &&
    matchFields.every((requirement) => matchesRequirement(requirement, fields))
  );
}

/** A label may have a name that every object of the language has. */
export function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

/** Of the labels of a node or pod; Gt and Lt are a node's alone. */
export function matchesRequirement({ key, operator, values = [] }: NodeRequirement, traits: Readonly<Record<string, string>>): boolean {
  const found = labelOf(traits, key);
  switch (operator) {
    case 'In':
      return found !== undefined && values.includes(found);
    case 'NotIn':
      return found === undefined || !values.includes(found);
    case 'Exists':
      return found !== undefined;
    case 'DoesNotExist':
      return found === undefined;
    case 'Gt':
      return compareIntegers(found, values, (label, bound) => label > bound);
    case 'Lt':
      return compareIntegers(found, values, (label, bound) => label < bound);
    default:
      return false;
  }
}

function compareIntegers(found: string | undefined, values: readonly string[], holds: (label: bigint, bound: bigint) => boolean): boolean {
  const bound = values.length === 1 ? parseInteger(values[0]) : undefined;
  const label = parseInteger(found);
  return label !== undefined && bound !== undefined && holds(label, bound);
}

/** As Go's ParseInt in base 10 does, which the API server uses. */
function parseInteger(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[+-]?\d+$/.test(text) ? BigInt(text.replace('+', '')) : undefined;
}

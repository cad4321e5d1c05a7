/**
 * Whether a volume stays where it is, whatever becomes of its node.
 *
 *   kept      somebody says so: annotation `rehome.io/move: never`. Any word that nobody knows counts as that: it was meant to say something
 *   refused   Rehome, its Temporal or an etcd runs on it: without them nobody could bring the move to its end
 *
 * What is refused wrongly (an etcd of an application) `rehome.io/move: always` lets go.
 */
import type { Stay } from '../contracts/migration.ts';
import { Annotation } from '../contracts/names.ts';

export interface StayFacts {
  /** Of the annotation `rehome.io/move` on the LocalVolume and on its claim, where there is one. */
  readonly wishes: readonly string[];
  /** Where its claim is. */
  readonly namespace?: string | undefined;
  /** Of its claim and of the pods that use it. */
  readonly labels: readonly Readonly<Record<string, string>>[];
}

/** Namespaces of Kubernetes. */
export interface OwnNamespaces {
  readonly rehome: string;
  /** undefined: nobody can tell, or it is everybody's. */
  readonly temporal: string | undefined;
}

/** By which charts and operators say what a pod is (Kubernetes' recommended labels, and the older ones). */
const SAYING_WHAT = ['app.kubernetes.io/name', 'app.kubernetes.io/component', 'app.kubernetes.io/part-of', 'app', 'component'];
const NAMES: Readonly<Record<string, string>> = { etcd: 'etcd', temporal: 'Temporal' };

export function judgeStay({ wishes, namespace, labels }: StayFacts, own: OwnNamespaces): Stay | undefined {
  const unknown = wishes.find((wish) => wish !== 'never' && wish !== 'always');
  if (wishes.includes('never')) return { kind: 'kept', why: `annotation ${Annotation.move}=never` };
  if (unknown !== undefined) return { kind: 'kept', why: `annotation ${Annotation.move}=${unknown} is neither never nor always` };
  if (wishes.length > 0) return undefined;
  if (namespace === own.rehome) return refused('Rehome', `namespace ${namespace}`);
  if (namespace !== undefined && namespace === own.temporal) return refused('Temporal', `namespace ${namespace}`);
  for (const [key, value] of labels.flatMap((all) => Object.entries(all))) {
    const name = SAYING_WHAT.includes(key) && Object.hasOwn(NAMES, value) ? NAMES[value] : undefined;
    if (name) return refused(name, `label ${key}=${value}`);
  }
  return undefined;
}

const refused = (name: string, sign: string): Stay => ({ kind: 'refused', why: `${name} runs on it (${sign})` });

/** A pod starts only where all of its volumes are, so one that stays keeps all that would leave with it. */
export function stayWith(companion: string, { kind, why }: Stay): Stay {
  return { kind, why: `it moves only together with ${companion}: ${why}` };
}

/** In words, for whoever asks what becomes of the volume. */
export function inWords(volume: string, { kind, why }: Stay): string {
  return kind === 'kept'
    ? `${volume} is kept (${why})`
    : `${volume} must not move (${why}; annotation ${Annotation.move}=never or always decides)`;
}

/**
 * Where Temporal's pods are, and with them mostly its database: the namespace in the name of the Service that is Temporal's address,
 * `<service>.<namespace>` with or without `.svc…`. `default` is everybody's, and says nothing.
 */
export function namespaceOfService(address: string): string | undefined {
  const [, namespace, svc = 'svc'] = (address.split(':')[0] ?? '').split('.');
  return svc === 'svc' && namespace !== 'default' ? namespace : undefined;
}

/** What the watches have seen, for a test that says it. */
import type { Store } from '../../activities/cluster/stores.ts';

interface Named {
  readonly metadata: { readonly namespace?: string; readonly name: string };
}

/** By `namespace/name`, or by name. */
export function storeOf<T extends Named>(...objects: readonly T[]): Store<T> {
  const keyOf = ({ metadata: { namespace, name } }: Named) => (namespace ? `${namespace}/${name}` : name);
  return { list: () => objects, get: (key) => objects.find((object) => keyOf(object) === key) };
}

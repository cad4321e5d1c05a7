/** What triggers and reconcilers hear of the stores' changes. */
import type { ClusterStores, Store } from './stores.ts';

export type ClusterObjects = { readonly [Kind in keyof ClusterStores]: ClusterStores[Kind] extends Store<infer T> ? T : never };

/** `now` undefined: gone; `before` undefined: new, or seen for the first time. */
export type ChangeListener<T> = (key: string, now: T | undefined, before: T | undefined) => void;

export interface ClusterChanges {
  /** @returns ends the subscription. Objects that stand in the store already are not told: a subscriber looks at them itself. */
  subscribe<Kind extends keyof ClusterObjects>(kind: Kind, listener: ChangeListener<ClusterObjects[Kind]>): () => void;
}

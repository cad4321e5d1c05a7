/** Whether a volume stays where it is, by what its objects say. */
import type { Stay } from '../../core/contracts/migration.ts';
import { Annotation } from '../../core/contracts/names.ts';
import type { LocalVolume } from '../../core/contracts/objects/index.ts';
import { judgeStay, type OwnNamespaces, stayWith } from '../../core/domain/stay.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { type KubeObject, keyOf, type PersistentVolumeClaim, persistentVolumeClaims } from '../../system/kube/resources.ts';
import type { ClusterStores, PodView, Store } from './stores.ts';
import { type Bonds, type ClaimName, claimOf, companionsOf, hasEnded, podsNaming, replicaNodesOf } from './volume-objects.ts';

/** @param node on which it lies. @param bonds for whoever asks for many volumes. @returns undefined: it may go. */
export type StayJudge = (stores: ClusterStores, volume: string, node: string, bonds?: Bonds) => Stay | undefined;

export function createStayJudge(own: OwnNamespaces): StayJudge {
  const judge = (stores: ClusterStores, volume: string) => judgeStay(stayFacts(stores, volume), own);
  return (stores, volume, node, bonds) => {
    const stay = judge(stores, volume);
    if (stay) return stay;
    for (const companion of companionsOf(stores, volume, node, bonds).filter((other) => replicaNodesOf(stores, other).includes(node))) {
      const { name } = companion.metadata;
      const staying = judge(stores, name);
      if (staying) return stayWith(name, staying);
    }
    return undefined;
  };
}

function stayFacts(stores: ClusterStores, volume: string) {
  const name = claimOf(stores, volume);
  const claim = name && stores.persistentVolumeClaims.get(keyOf(name));
  const objects = [stores.localVolumes.get(keyOf({ name: volume })), claim];
  return {
    wishes: objects.map(moveWish).filter((wish) => wish !== undefined),
    namespace: name?.namespace,
    labels: [claim, ...(name ? saidBy(stores, name) : [])].map((object) => object?.metadata.labels ?? {}),
  };
}

/** Pods that tell what runs on a claim: those that use it, else those that have ended and have no successor yet. */
function saidBy(stores: ClusterStores, claim: ClaimName): readonly PodView[] {
  const naming = podsNaming(stores, claim);
  const users = naming.filter((pod) => !hasEnded(pod));
  return users.length > 0 ? users : naming;
}

/** What somebody says about the moves of a volume, on its LocalVolume or its claim. */
export function moveWish(object: { readonly metadata: Pick<KubeObject['metadata'], 'annotations'> } | undefined): string | undefined {
  return object?.metadata.annotations?.[Annotation.move];
}

/** The stores, with what `moveWish` is read from live: for an answer that is final. */
export async function withLiveWishes(kube: KubeClient, stores: ClusterStores): Promise<ClusterStores> {
  const [volumes, claims] = await Promise.all([kube.list(localVolumes), kube.list(persistentVolumeClaims)]);
  return { ...stores, localVolumes: storeOf(volumes), persistentVolumeClaims: storeOf(claims) };
}

/** The stores, with these two objects as somebody has just read them live. */
export function withLive(stores: ClusterStores, localVolume: LocalVolume, claim: PersistentVolumeClaim): ClusterStores {
  return {
    ...stores,
    localVolumes: overlay(stores.localVolumes, localVolume),
    persistentVolumeClaims: overlay(stores.persistentVolumeClaims, claim),
  };
}

function overlay<T extends Named>(store: Store<T>, live: T): Store<T> {
  const key = keyOf(live.metadata);
  const list = () => store.list().map((each) => (each.metadata.name === live.metadata.name && keyOf(each.metadata) === key ? live : each));
  return { list, get: (other) => (other === key ? live : store.get(other)) };
}

type Named = KubeObject | { readonly metadata: { readonly name: string } };

function storeOf<T extends Named>(objects: readonly T[]): Store<T> {
  const byKey = new Map(objects.map((object) => [keyOf(object.metadata), object]));
  return { list: () => objects, get: (key) => byKey.get(key) };
}

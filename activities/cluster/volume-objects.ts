/** Which objects belong to a volume: its PersistentVolume, claim, pods and replicas. Read from the stores. */
import { CSI_DRIVER } from '../../core/contracts/names.ts';
import type { LocalVolume, LocalVolumeReplica } from '../../core/contracts/objects/index.ts';
import { volumesBoundTo } from '../../core/domain/companions.ts';
import { keyOf, type PersistentVolume, type PersistentVolumeClaim } from '../../system/kube/resources.ts';
import { evictionMarksOf } from './eviction-marks.ts';
import { hasEnded as isOver, isProtected, leaderOf } from './migration-objects.ts';
import type { ClusterStores, PodView } from './stores.ts';

export interface ClaimName {
  readonly namespace: string;
  readonly name: string;
}

/** A volume's PersistentVolume names it as its CSI handle. undefined: nobody has asked for the volume through a claim, or it is being made again. */
export function persistentVolumeOf({ persistentVolumes }: ClusterStores, volume: string): PersistentVolume | undefined {
  return findPersistentVolume(persistentVolumes.list(), volume);
}

export function findPersistentVolume(persistentVolumes: readonly PersistentVolume[], volume: string): PersistentVolume | undefined {
  return persistentVolumes.find(({ spec }) => spec?.csi?.driver === CSI_DRIVER && spec.csi.volumeHandle === volume);
}

export function claimOf(stores: ClusterStores, volume: string): ClaimName | undefined {
  return claimNamedBy(persistentVolumeOf(stores, volume), stores.localVolumes.get(volume));
}

/** By the PersistentVolume; while that is being made again, by what the LocalVolume says. */
function claimNamedBy(persistentVolume: PersistentVolume | undefined, localVolume: LocalVolume | undefined): ClaimName | undefined {
  const claimRef = persistentVolume?.spec?.claimRef;
  if (claimRef?.namespace && claimRef.name) return { namespace: claimRef.namespace, name: claimRef.name };
  const { pvcNamespace, pvcName } = localVolume?.spec ?? {};
  return pvcNamespace && pvcName ? { namespace: pvcNamespace, name: pvcName } : undefined;
}

/** By the claim's PersistentVolume; while that is being made again, by what a LocalVolume says. undefined: it is none of ours. */
export function localVolumeOf(stores: ClusterStores, { metadata, spec }: PersistentVolumeClaim): string | undefined {
  if (!spec?.volumeName) return undefined;
  const csi = stores.persistentVolumes.get(keyOf({ name: spec.volumeName }))?.spec?.csi;
  if (csi) return csi.driver === CSI_DRIVER ? csi.volumeHandle : undefined;
  const named = stores.localVolumes
    .list()
    .find(({ spec: { pvcNamespace, pvcName } }) => pvcNamespace === metadata.namespace && pvcName === metadata.name);
  return named?.metadata.name;
}

/**
 * The pods that name the claim and have not ended, those on their way out included: while they last, they say best what their successors may.
 * A pod that has ended (Succeeded, Failed) runs nothing; whether its node still has the volume mounted, the node's status says.
 */
export function podsOf(stores: ClusterStores, claim: ClaimName): readonly PodView[] {
  return podsNaming(stores, claim).filter((pod) => !hasEnded(pod));
}

/** Those that have ended included. */
export function podsNaming({ pods }: ClusterStores, claim: ClaimName): readonly PodView[] {
  return pods.list().filter((pod) => pod.metadata.namespace === claim.namespace && claimNames(pod).includes(claim.name));
}

export function hasEnded({ status }: PodView): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

export function claimNames({ metadata, spec }: PodView): readonly string[] {
  return (spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim) return [persistentVolumeClaim.claimName];
    // The claim of a generic ephemeral volume has the name of its pod and volume.
    return ephemeral ? [`${metadata.name}-${name}`] : [];
  });
}

/** Those of ours that the pod uses. */
export function volumesOf(stores: ClusterStores, pod: PodView): readonly string[] {
  const { namespace = '' } = pod.metadata;
  return claimNames(pod).flatMap((name) => {
    const claim = stores.persistentVolumeClaims.get(keyOf({ namespace, name }));
    return (claim && localVolumeOf(stores, claim)) ?? [];
  });
}

/** By volume, what binds it to others: the volumes of a pod, for one. Who mounts one of them mounts all. */
export type Bonds = ReadonlyMap<string, readonly (readonly string[])[]>;

/**
 * The volumes that leave a node with it, the nearest first. Some may lie elsewhere: they have left before it, or were never there.
 * @param bonds for whoever asks for many volumes.
 */
export function companionsOf(stores: ClusterStores, volume: string, node: string, bonds: Bonds = bondsOf(stores)): readonly LocalVolume[] {
  const find = (name: string) => stores.localVolumes.get(keyOf({ name }));
  const neighboursOf = (next: string) => (bonds.get(next) ?? []).flat();
  const isOnNode = (next: string) => {
    const localVolume = find(next);
    return localVolume !== undefined && replicaNodesOf(stores, localVolume).includes(node);
  };
  return [...volumesBoundTo(volume, neighboursOf, isOnNode)].flatMap((name) => find(name) ?? []);
}

/** A volume that is deleted is mounted by nobody, and nothing binds it. */
export function bondsOf(stores: ClusterStores): Bonds {
  const volumes = stores.localVolumes.list().filter(({ spec }) => !spec.delete);
  const known = new Set(volumes.map(({ metadata }) => metadata.name));
  const bonds = new Map<string, string[][]>();
  for (const bound of [...boundByClaims(stores, volumes), ...boundByGroups(volumes), ...askedForTogether(stores)]) {
    const bond = bound.filter((volume) => known.has(volume));
    if (bond.length > 1) for (const volume of bond) bonds.set(volume, [...(bonds.get(volume) ?? []), bond]);
  }
  return bonds;
}

function boundByGroups(volumes: readonly LocalVolume[]): string[][] {
  const groups = Map.groupBy(volumes, ({ spec }) => spec.volumegroup);
  groups.delete(undefined);
  return Array.from(groups.values(), (group) => group.map(({ metadata }) => metadata.name));
}

/** By pods, and by the marks of those that were evicted: their objects may be gone, and their successors not there yet. A claim that is gone binds nothing. */
function boundByClaims({ pods, persistentVolumes, persistentVolumeClaims }: ClusterStores, volumes: readonly LocalVolume[]): string[][] {
  const byHandle = new Map(
    persistentVolumes.list().flatMap((each) => (each.spec?.csi?.driver === CSI_DRIVER ? [[each.spec.csi.volumeHandle, each]] : [])),
  );
  const claimed = Map.groupBy(volumes, (localVolume) => {
    const claim = claimNamedBy(byHandle.get(localVolume.metadata.name), localVolume);
    return claim && keyOf(claim);
  });
  const volumesOfClaims = (namespace: string, names: readonly string[]) =>
    names.flatMap((name) => {
      const key = keyOf({ namespace, name });
      return persistentVolumeClaims.get(key) ? (claimed.get(key) ?? []).map(({ metadata }) => metadata.name) : [];
    });
  // Most have one volume at most.
  const using = pods.list().filter((pod) => (pod.spec?.volumes?.length ?? 0) > 1 && !hasEnded(pod));
  return [
    ...using.map((pod) => volumesOfClaims(pod.metadata.namespace ?? '', claimNames(pod))),
    ...persistentVolumeClaims.list().flatMap((claim) => {
      const { namespace = '', name } = claim.metadata;
      return evictionMarksOf(claim).map(({ claims }) => volumesOfClaims(namespace, [...new Set([name, ...claims])]));
    }),
  ];
}

/** Volumes whose moves were asked for together. One that has ended counts until the last of them has: so long it is protected. */
function askedForTogether({ localVolumeMigrates }: ClusterStores): string[][] {
  const all = localVolumeMigrates.list();
  const running = all.filter((migrate) => !isOver(migrate));
  const leaders = new Set(running.map(leaderOf));
  // A later move of the same volume is another matter.
  const moving = new Set(running.map(({ spec }) => spec.volumeName));
  const ended = all.filter((migrate) => isOver(migrate) && isProtected(migrate) && !moving.has(migrate.spec.volumeName));
  const together = Map.groupBy([...running, ...ended.filter((migrate) => leaders.has(leaderOf(migrate)))], leaderOf);
  return Array.from(together.values(), (migrates) => [...new Set(migrates.map(({ spec }) => spec.volumeName))]);
}

export function replicasOf({ localVolumeReplicas }: ClusterStores, volume: string): readonly LocalVolumeReplica[] {
  return localVolumeReplicas.list().filter(({ spec }) => spec.volumeName === volume);
}

/** The nodes that hold the volume, by its own configuration; by its replicas where nobody has configured it. */
export function replicaNodesOf(stores: ClusterStores, { metadata, spec }: LocalVolume): readonly string[] {
  return spec.config?.replicas.map(({ hostname }) => hostname) ?? replicasOf(stores, metadata.name).map((replica) => replica.spec.nodeName);
}

/** Of a node's agent, where its mirrors listen. undefined: there is no LocalStorageNode. */
export function mirrorEnd({ localStorageNodes }: ClusterStores, node: string) {
  const found = localStorageNodes.get(keyOf({ name: node }));
  return found && { node, storageAddress: found.spec.storageIP };
}

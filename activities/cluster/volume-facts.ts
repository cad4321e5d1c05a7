/** What the objects say of a volume that is to move: where it is, whether the move is still wanted, and what holds the volume on its source. */
import type { ClusterActivities, VolumeFacts } from '../../core/contracts/cluster-activities.ts';
import { Annotation, agentLease, Label } from '../../core/contracts/names.ts';
import type { LocalVolume, LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { isLeaseHeld } from '../../system/kube/lease.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { claimOf, mirrorEnd, persistentVolumeOf, podsOf, replicaNodesOf, replicasOf } from './volume-objects.ts';

type Facts = Pick<ClusterDependencies, 'stores' | 'now' | 'namespace'>;
type Deps = Facts & Pick<ClusterDependencies, 'kube'>;

/**
 * A run's first look (no migration yet) reads LocalVolume and replica live: a store that lags would show a volume that has just left, and a migration
 * opened for it would find nothing there.
 */
export const observeVolume =
  (deps: Deps): ClusterActivities['observeVolume'] =>
  async ({ volume, sourceNode, ref }) => {
    const { stores } = deps;
    const known = replicasOf(stores, volume).find(({ spec }) => spec.nodeName === sourceNode);
    const [replica, localVolume] = ref
      ? [known, stores.localVolumes.get(keyOf({ name: volume }))]
      : await Promise.all([known && deps.kube.find(localVolumeReplicas, known.metadata), deps.kube.find(localVolumes, { name: volume })]);
    const migrate = ref && stores.localVolumeMigrates.get(keyOf(ref));
    const source = mirrorEnd(stores, sourceNode);
    const unwanted = whyUnwanted(stores, sourceNode);
    const percent = percentOf(migrate);
    return {
      ...(localVolume && { localVolume: describeVolume(stores, localVolume) }),
      ...(replica && { sourceReplica: { name: replica.metadata.name } }),
      ...(source && { source }),
      ...(unwanted !== undefined && { unwanted }),
      heldBy: heldBy(stores, volume, sourceNode),
      ...(usersOf(stores, volume).length > 0 && { hasUsers: true as const }),
      ...(isOnlineWanted(stores, volume, sourceNode) && { online: true as const }),
      agentAlive: agentsAlive(deps, [sourceNode, migrate?.status?.target?.node]),
      ...(percent !== undefined && { percent }),
    };
  };

function describeVolume(stores: ClusterStores, localVolume: LocalVolume): NonNullable<VolumeFacts['localVolume']> {
  const { poolName: pool, requiredCapacityBytes, convertible } = localVolume.spec;
  const allocatedCapacityBytes = localVolume.status?.allocatedCapacityBytes;
  return {
    pool,
    requiredCapacityBytes,
    ...(allocatedCapacityBytes !== undefined && { allocatedCapacityBytes }),
    convertible,
    replicaNodes: replicaNodesOf(stores, localVolume),
  };
}

/** A node that is gone says nothing: what was begun on it goes on. */
function whyUnwanted({ nodes }: ClusterStores, name: string): string | undefined {
  const node = nodes.get(keyOf({ name }));
  if (!node) return undefined;
  if (!node.spec?.unschedulable) return `node ${name} is not cordoned`;
  return evictionDisabled(node.metadata.labels) ? `node ${name} has label ${Label.eviction}=disable` : undefined;
}

/** Asked for on the node, for all that is on it, or on the volume. */
function isOnlineWanted({ nodes, localVolumes }: ClusterStores, volume: string, node: string): boolean {
  const objects = [nodes.get(keyOf({ name: node })), localVolumes.get(keyOf({ name: volume }))];
  return objects.some((object) => object?.metadata.annotations?.[Annotation.online] === 'true');
}

export function evictionDisabled(labels: Readonly<Record<string, string>> | undefined): boolean {
  return labels?.[Label.eviction] === 'disable';
}

/**
 * What still holds the volume on a node, in words. Free is what no pod there uses, what the kubelet has unmounted, and what is attached there no more.
 *
 * HwameiStor's `status.publishedNode` is not asked: its CSI controller clears the field before the VolumeAttachment goes, so an attachment tells all
 * it could, and where that controller does not run nobody ever clears it.
 */
export function heldBy(stores: ClusterStores, volume: string, node: string): readonly string[] {
  const users = usersOf(stores, volume).filter(({ spec }) => spec?.nodeName === node);
  const persistentVolume = persistentVolumeOf(stores, volume);
  const csi = persistentVolume?.spec?.csi;
  // The kubelet's name for a volume of a CSI driver that attaches.
  const uniqueName = csi && `kubernetes.io/csi/${csi.driver}^${csi.volumeHandle}`;
  const inUse = uniqueName !== undefined && stores.nodes.get(keyOf({ name: node }))?.status?.volumesInUse?.includes(uniqueName);
  const attachments = persistentVolume
    ? stores.volumeAttachments
        .list()
        .filter(({ spec }) => spec.nodeName === node && spec.source.persistentVolumeName === persistentVolume.metadata.name)
    : [];
  return [
    ...users.map(({ metadata }) => `pod ${metadata.namespace}/${metadata.name}`),
    ...(inUse ? [`volumesInUse of node ${node}`] : []),
    ...attachments.map(({ metadata }) => `VolumeAttachment ${metadata.name}`),
  ].sort();
}

function usersOf(stores: ClusterStores, volume: string): readonly PodView[] {
  const claim = claimOf(stores, volume);
  return claim ? podsOf(stores, claim) : [];
}

export function isAgentAlive({ stores, now, namespace }: Facts, node: string): boolean {
  return isLeaseHeld(stores.leases.get(keyOf({ namespace, name: agentLease(node) })), now());
}

function agentsAlive(facts: Facts, nodes: readonly (string | undefined)[]): Readonly<Record<string, boolean>> {
  return Object.fromEntries(nodes.filter((node) => node !== undefined).map((node) => [node, isAgentAlive(facts, node)]));
}

/** The agent writes its progress while it syncs or verifies; in other phases what stands there is of the past. */
export function percentOf(migrate: LocalVolumeMigrate | undefined): number | undefined {
  const { phase, progress } = migrate?.status ?? {};
  return phase === 'Syncing' || phase === 'Verifying' ? progress?.percent : undefined;
}

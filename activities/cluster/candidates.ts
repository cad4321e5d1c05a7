/** What placement is decided by, put together from the objects. */
import type { ReserveRequest } from '../../core/contracts/cluster-activities.ts';
import { Annotation } from '../../core/contracts/names.ts';
import type { LocalStorageNode, LocalVolume, LocalVolumeMigrate, Pool, ThinPool } from '../../core/contracts/objects/index.ts';
import {
  type Accessibility,
  type CandidateNode,
  type Companions,
  DEFAULT_TOPOLOGY,
  type FollowingVolume,
  type PoolState,
  type ThinPoolState,
  type VolumeDemand,
} from '../../core/domain/placement.ts';
import { outstandingReservations } from '../../core/domain/reserved-space.ts';
import { allocatedAtMost } from '../../core/domain/thin-space.ts';
import { metadataSizeBytes } from '../../system/drbd/metadata-size.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import type { NodeUsage } from './node-usage.ts';
import { podConstraintsOf } from './pod-constraints.ts';
import type { PodPlaces } from './pod-places.ts';
import type { StorageNode, StorageNodes } from './storage-nodes.ts';
import type { ClusterStores } from './stores.ts';
import { isAgentAlive } from './volume-facts.ts';
import { companionsOf, replicaNodesOf, replicasOf } from './volume-objects.ts';

type Facts = Pick<ClusterDependencies, 'stores' | 'namespace'>;

/** LVM's usual extent: what a volume takes of a pool is whole extents. */
const EXTENT_BYTES = 4 * 2 ** 20;

/** What the move takes of the target's volume group while it lasts: the volume, unless it is thin, and its metadata volume. */
export function spaceBytes(sizeBytes: number, isThin: boolean): number {
  return (isThin ? 0 : Math.ceil(sizeBytes / EXTENT_BYTES) * EXTENT_BYTES) + metadataSizeBytes(sizeBytes);
}

/**
 * @param migrate says which nodes are suggested, and whether they must suit the volume's pods.
 * @param storageNodes as they are live: of two volumes of a pod that are placed at once, the second is to know where the first goes.
 * @param places of all pods.
 */
export function demandOf(
  { stores }: Facts,
  request: ReserveRequest,
  migrate: LocalVolumeMigrate | undefined,
  storageNodes: StorageNodes,
  places: readonly PodPlaces[],
): VolumeDemand {
  const { ref, sourceNode, pool, sizeBytes, thin, givenUp } = request;
  const localVolume = stores.localVolumes.get(keyOf({ name: ref.volume }));
  const replicas = replicasOf(stores, ref.volume).map(({ spec }) => spec.nodeName);
  const podsMatter = migrate?.metadata.annotations?.[Annotation.replicaAffinity] !== 'forbid';
  const companions = companionsOf(stores, ref.volume, sourceNode);
  const together = [ref.volume, ...companions.map(({ metadata }) => metadata.name)];
  const elsewhere = companions.filter((other) => !replicaNodesOf(stores, other).includes(sourceNode)).map(({ metadata }) => metadata.name);
  const pods = podsMatter ? podConstraintsOf(stores, together, elsewhere, places) : [];
  return {
    volume: ref.volume,
    sourceNode,
    pool,
    volumeBytes: sizeBytes,
    spaceBytes: spaceBytes(sizeBytes, thin !== undefined),
    thin,
    accessibility: accessibilityOf(localVolume),
    replicaNodes: new Set([sourceNode, ...replicas, ...(localVolume ? replicaNodesOf(stores, localVolume) : [])]),
    pods,
    attached: pods.length > 0 ? together : [],
    companions: placesOf(companions, stores, request, storageNodes),
    givenUp,
    suggested: migrate?.spec.targetNodesSuggested ?? [],
  };
}

/** Where one of them has reserved room binds the others, unless that node was given up for this one: then they come after it. */
function placesOf(
  companions: readonly LocalVolume[],
  stores: ClusterStores,
  { sourceNode, givenUp }: ReserveRequest,
  storageNodes: StorageNodes,
): Companions {
  const others = companions.map((localVolume) => {
    const { name } = localVolume.metadata;
    return { name, localVolume, nodes: replicasOf(stores, name).map((replica) => replica.spec.nodeName) };
  });
  const reserving = Array.from(storageNodes.values()).filter(
    ({ metadata, reservations }) => !Object.hasOwn(givenUp, metadata.name) && others.some(({ name }) => reservations.has(name)),
  );
  const arrived = others.flatMap(({ nodes }) => nodes).filter((node) => node !== sourceNode);
  const following = others.filter(({ nodes }) => nodes.includes(sourceNode));
  return {
    nodes: new Set([...reserving.map(({ metadata }) => metadata.name), ...arrived]),
    following: following.map(({ localVolume, nodes }) => followingVolume(localVolume, nodes, storageNodes.get(sourceNode))),
  };
}

/** As its own demand will be, but for what a thin one has taken of its pool, which its node is asked for when its own move begins. */
export function followingVolume(localVolume: LocalVolume, nodes: readonly string[], source: LocalStorageNode | undefined): FollowingVolume {
  const { metadata, spec } = localVolume;
  const { poolName: pool, requiredCapacityBytes: volumeBytes, thin: isThin = false } = spec;
  const thinPools = thinPoolsOf(source?.status?.pools?.[pool] ?? {});
  const thinPool = thinPools.find(({ thinVolumes = [] }) => thinVolumes.includes(metadata.name)) ?? thinPools[0];
  return {
    volume: metadata.name,
    pool,
    volumeBytes,
    spaceBytes: spaceBytes(volumeBytes, isThin),
    thin: isThin && thinPool ? { pool: thinPool.name, allocatedBytes: 0, chunkBytes: thinPool.chunkSize ?? EXTENT_BYTES } : undefined,
    accessibility: accessibilityOf(localVolume),
    replicaNodes: new Set(nodes),
  };
}

/** Where nothing is said, anywhere. */
function accessibilityOf(localVolume: LocalVolume | undefined): Accessibility {
  const { nodes = [], zones = [], regions = [] } = localVolume?.spec.accessibility ?? {};
  return { nodes, zones, regions };
}

const PRESSURES = ['MemoryPressure', 'DiskPressure', 'PIDPressure'];

/** @param following the volumes that have yet to follow others to it. */
export function candidateOf(
  facts: Facts,
  storageNode: StorageNode,
  usage: NodeUsage,
  following: readonly FollowingVolume[],
): CandidateNode {
  const { name } = storageNode.metadata;
  const node = facts.stores.nodes.get(keyOf({ name }));
  const isTrue = (condition: string) =>
    node?.status?.conditions?.some(({ type, status }) => type === condition && status === 'True') ?? false;
  const allocatablePods = node?.status?.allocatable?.pods;
  const attachments = usage.attachments.get(name);
  const onTheirWay = new Set([...storageNode.reservations.keys(), ...following.map(({ volume }) => volume)]);
  const { zone = DEFAULT_TOPOLOGY, region = DEFAULT_TOPOLOGY } = storageNode.spec.topogoly ?? {};
  return {
    name,
    labels: node?.metadata.labels ?? {},
    taints: node?.spec?.taints ?? [],
    ready: isTrue('Ready'),
    schedulable: node?.spec?.unschedulable !== true,
    underPressure: PRESSURES.some(isTrue),
    pods: allocatablePods === undefined ? undefined : { limit: Number(allocatablePods), taken: usage.pods.get(name) ?? new Set() },
    attachments: attachments && { ...attachments, taken: attachments.taken.union(onTheirWay) },
    agentReady: storageNode.status?.state === 'Ready' && isAgentAlive(facts, name),
    zone,
    region,
    pools: poolStates(storageNode),
    reservations: outstandingReservations(storageNode.reservations, storageNode.status?.pools ?? {}),
    following,
  };
}

export function poolStates({ status }: LocalStorageNode): readonly PoolState[] {
  return Object.entries(status?.pools ?? {}).map(([name, pool]) => poolState(name, pool));
}

function poolState(name: string, pool: Pool): PoolState {
  return {
    name,
    totalBytes: pool.totalCapacityBytes,
    freeBytes: pool.freeCapacityBytes,
    freeVolumeCount: pool.freeVolumeCount,
    volumeLimitBytes: pool.volumeCapacityBytesLimit,
    volumes: new Set([...(pool.volumes ?? []), ...(pool.arriving ?? []).map(({ volume }) => volume)]),
    thinPools: thinPoolsOf(pool).map(thinPoolState),
  };
}

/** All of a pool's, HwameiStor's first. */
export function thinPoolsOf({ thinPool, otherThinPools = [] }: Pick<Pool, 'thinPool' | 'otherThinPools'>): readonly ThinPool[] {
  return thinPool ? [thinPool, ...otherThinPools] : otherThinPools;
}

function thinPoolState({ name, size, dataPercent, totalProvisionedSize, overProvisionRatio, chunkSize }: ThinPool): ThinPoolState {
  return {
    name,
    totalBytes: size,
    freeBytes: size - allocatedAtMost(size, Number(dataPercent)),
    promisedBytes: totalProvisionedSize,
    promisableBytes: overProvisionRatio === undefined ? undefined : size * Number(overProvisionRatio),
    chunkBytes: chunkSize,
  };
}

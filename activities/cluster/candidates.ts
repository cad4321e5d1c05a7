/** What placement is decided by, put together from the objects. */
import type { ReserveRequest } from '../../core/contracts/cluster-activities.ts';
import { Annotation, TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import type { LocalStorageNode, LocalVolume, LocalVolumeMigrate, Pool, ThinPool } from '../../core/contracts/objects/index.ts';
import {
  type CandidateNode,
  type Companions,
  DEFAULT_TOPOLOGY,
  type FollowingVolume,
  type PoolState,
  type ThinPoolState,
  type VolumeDemand,
} from '../../core/domain/placement.ts';
import type { PodConstraints } from '../../core/domain/pod-fit.ts';
import { withoutRequirementsOf } from '../../core/domain/pod-gate.ts';
import { outstandingReservations } from '../../core/domain/reserved-space.ts';
import { allocatedAtMost } from '../../core/domain/thin-space.ts';
import { metadataSizeBytes } from '../../system/drbd/metadata-size.ts';
import { reservationsOf } from '../../system/kube/reservations.ts';
import { keyOf } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { isAgentAlive } from './volume-facts.ts';
import { claimOf, companionsOf, hasEnded, podsOf, replicaNodesOf, replicasOf } from './volume-objects.ts';

type Facts = Pick<ClusterDependencies, 'stores' | 'now' | 'namespace'>;
type StorageNodes = ReadonlyMap<string, LocalStorageNode>;

/** LVM's usual extent: what a volume takes of a pool is whole extents. */
const EXTENT_BYTES = 4 * 2 ** 20;

/** What the move takes of the target's volume group while it lasts: the volume, unless it is thin, and its metadata volume. */
export function spaceBytes(sizeBytes: number, isThin: boolean): number {
  return (isThin ? 0 : Math.ceil(sizeBytes / EXTENT_BYTES) * EXTENT_BYTES) + metadataSizeBytes(sizeBytes);
}

/**
 * @param migrate says which nodes are suggested, and whether they must suit the volume's pods.
 * @param storageNodes as they are live: of two volumes of a pod that are placed at once, the second is to know where the first goes.
 */
export function demandOf(
  { stores }: Facts,
  request: ReserveRequest,
  migrate: LocalVolumeMigrate | undefined,
  storageNodes: StorageNodes,
): VolumeDemand {
  const { ref, sourceNode, pool, sizeBytes, thin, givenUp } = request;
  const localVolume = stores.localVolumes.get(keyOf({ name: ref.volume }));
  const { nodes = [], zones = [], regions = [] } = localVolume?.spec.accessibility ?? {};
  const replicas = replicasOf(stores, ref.volume).map(({ spec }) => spec.nodeName);
  const claim = claimOf(stores, ref.volume);
  const podsMatter = migrate?.metadata.annotations?.[Annotation.replicaAffinity] !== 'forbid';
  return {
    volume: ref.volume,
    sourceNode,
    pool,
    volumeBytes: sizeBytes,
    spaceBytes: spaceBytes(sizeBytes, thin !== undefined),
    thin,
    accessibility: { nodes, zones, regions },
    replicaNodes: new Set([sourceNode, ...replicas, ...(localVolume ? replicaNodesOf(stores, localVolume) : [])]),
    pods: claim && podsMatter ? podsOf(stores, claim).map(constraintsOf) : [],
    companions: companionsOfDemand(stores, request, storageNodes),
    givenUp,
    suggested: migrate?.spec.targetNodesSuggested ?? [],
  };
}

/** Where one of them has reserved room binds the others, unless that node was given up for this one: then they come after it. */
function companionsOfDemand(stores: ClusterStores, { ref, sourceNode, givenUp }: ReserveRequest, storageNodes: StorageNodes): Companions {
  const others = companionsOf(stores, ref.volume).map((localVolume) => {
    const { name } = localVolume.metadata;
    return { name, localVolume, nodes: replicasOf(stores, name).map((replica) => replica.spec.nodeName) };
  });
  const reserving = Array.from(storageNodes.values()).filter(
    (node) => !Object.hasOwn(givenUp, node.metadata.name) && others.some(({ name }) => reservationsOf(node).has(name)),
  );
  const arrived = others.flatMap(({ nodes }) => nodes).filter((node) => node !== sourceNode);
  const following = others.filter(({ nodes }) => nodes.includes(sourceNode));
  return {
    nodes: new Set([...reserving.map(({ metadata }) => metadata.name), ...arrived]),
    following: following.map(({ localVolume, nodes }) => followingVolume(localVolume, nodes, storageNodes.get(sourceNode))),
  };
}

/** As its own demand will be, but for what a thin one has taken of its pool, which its node is asked for when its own move begins. */
function followingVolume({ metadata, spec }: LocalVolume, nodes: readonly string[], source: LocalStorageNode | undefined): FollowingVolume {
  const { poolName: pool, requiredCapacityBytes: volumeBytes, thin: isThin = false } = spec;
  const { nodes: allowed = [], zones = [], regions = [] } = spec.accessibility ?? {};
  const thinPools = thinPoolsOf(source?.status?.pools?.[pool] ?? {});
  const thinPool = thinPools.find(({ thinVolumes = [] }) => thinVolumes.includes(metadata.name)) ?? thinPools[0];
  return {
    volume: metadata.name,
    pool,
    volumeBytes,
    spaceBytes: spaceBytes(volumeBytes, isThin),
    thin: isThin && thinPool ? { pool: thinPool.name, allocatedBytes: 0, chunkBytes: thinPool.chunkSize ?? EXTENT_BYTES } : undefined,
    accessibility: { nodes: allowed, zones, regions },
    replicaNodes: new Set(nodes),
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

const PRESSURES = ['MemoryPressure', 'DiskPressure', 'PIDPressure'];

/** @param podCounts of `podCountsOf`. */
export function candidateOf(facts: Facts, storageNode: LocalStorageNode, podCounts: ReadonlyMap<string, number>): CandidateNode {
  const { name } = storageNode.metadata;
  const node = facts.stores.nodes.get(keyOf({ name }));
  const isTrue = (condition: string) =>
    node?.status?.conditions?.some(({ type, status }) => type === condition && status === 'True') ?? false;
  const allocatablePods = node?.status?.allocatable?.pods;
  const { zone = DEFAULT_TOPOLOGY, region = DEFAULT_TOPOLOGY } = storageNode.spec.topogoly ?? {};
  return {
    name,
    labels: node?.metadata.labels ?? {},
    taints: node?.spec?.taints ?? [],
    ready: isTrue('Ready'),
    schedulable: node?.spec?.unschedulable !== true,
    underPressure: PRESSURES.some(isTrue),
    freePodCount: allocatablePods === undefined ? undefined : Number(allocatablePods) - (podCounts.get(name) ?? 0),
    agentReady: storageNode.status?.state === 'Ready' && isAgentAlive(facts, name),
    zone,
    region,
    pools: poolStates(storageNode),
    reservations: outstandingReservations(reservationsOf(storageNode), storageNode.status?.pools ?? {}),
  };
}

/** By node, the pods that its kubelet counts: those that have ended take no place any more. */
export function podCountsOf({ pods }: ClusterStores): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const pod of pods.list()) {
    const node = pod.spec?.nodeName;
    if (node !== undefined && !hasEnded(pod)) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return counts;
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

/** Every node that stores volumes, as the stores have it. */
export function storageNodesOf({ localStorageNodes }: ClusterStores): StorageNodes {
  return new Map(localStorageNodes.list().map((node) => [node.metadata.name, node]));
}

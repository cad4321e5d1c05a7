/**
 * Where a volume may go, and why not elsewhere.
 *
 * Pure, so that the plan which a waiting migration shows and the plan a reservation is made by are the same function of the same facts.
 */
import type { ThinVolume } from '../contracts/migration.ts';
import type { Refusal } from '../contracts/reasons.ts';
import { keepsPodsAway, type NodeTraits, type PodConstraints, podRefusal } from './pod-fit.ts';
import type { OutstandingReservation, ThinShare } from './reserved-space.ts';
import { bytesOfCopy } from './thin-space.ts';

/** A pool as its node's agent last reported it. */
export interface PoolState {
  readonly name: string;
  readonly totalBytes: number;
  /** Left in the volume group; reservations are not subtracted. */
  readonly freeBytes: number;
  readonly freeVolumeCount: number;
  /** Largest volume the pool takes. undefined: no limit. */
  readonly volumeLimitBytes?: number | undefined;
  /** What lies here, and what stands here of volumes on their way. */
  readonly volumes: ReadonlySet<string>;
  readonly thinPools: readonly ThinPoolState[];
}

export interface ThinPoolState {
  readonly name: string;
  readonly totalBytes: number;
  /** Of its data, what no volume has taken; reservations are not subtracted. */
  readonly freeBytes: number;
  /** The sizes of its volumes. */
  readonly promisedBytes: number;
  /** How much it may promise. undefined: nobody has set a limit. */
  readonly promisableBytes?: number | undefined;
  readonly chunkBytes?: number | undefined;
}

export interface CandidateNode extends NodeTraits {
  readonly ready: boolean;
  readonly schedulable: boolean;
  /** Its kubelet is short of memory, disk or process ids, and evicts pods or is about to. */
  readonly underPressure: boolean;
  /** uids of those that its kubelet counts: that are there or are going to be. undefined: it has not said how many it takes. */
  readonly pods: Places | undefined;
  /** Volumes of HwameiStor's driver: what is attached, what pods there use, and what is on its way. undefined: any number may be attached. */
  readonly attachments: Places | undefined;
  /** Its agent renews its Lease and its LocalStorageNode is Ready. */
  readonly agentReady: boolean;
  readonly zone: string;
  readonly region: string;
  readonly pools: readonly PoolState[];
  /** What is promised to volumes on their way and is not yet in the pools' own figures. */
  readonly reservations: readonly OutstandingReservation[];
  /**
   * Volumes that have yet to follow others of their pods to it. They may go nowhere else, so what they need is taken for everybody else: it would be
   * lost to them for good, if somebody came in between.
   */
  readonly following: readonly FollowingVolume[];
}

/** Of what a node takes only so many. */
export interface Places {
  readonly limit: number;
  /** By name, so that what comes for the second time counts once. */
  readonly taken: ReadonlySet<string>;
}

/** HwameiStor's `accessibility`. */
export interface Accessibility {
  readonly nodes: readonly string[];
  readonly zones: readonly string[];
  readonly regions: readonly string[];
}

export interface VolumeDemand {
  readonly volume: string;
  readonly sourceNode: string;
  readonly pool: string;
  readonly volumeBytes: number;
  /** What the move takes of the target's volume group: the volume and its metadata volume, each in whole extents; of a thin volume the latter alone. */
  readonly spaceBytes: number;
  readonly thin?: ThinVolume | undefined;
  readonly accessibility: Accessibility;
  /** Nodes that hold a replica of the volume, the source among them. */
  readonly replicaNodes: ReadonlySet<string>;
  /** The pods that use it now, or a volume that leaves with it; none: nothing is asked of the node. */
  readonly pods: readonly UsingPod[];
  /** What these pods have attached to their node: it, and the other volumes. Empty: there are none. */
  readonly attached: readonly string[];
  /** The other volumes that leave with it: a pod starts only where all of its volumes are. */
  readonly companions: Companions;
  /** Nodes that were tried and turned out unfit. */
  readonly givenUp: Readonly<Record<string, Refusal>>;
  /** The only nodes it may go to, the best first; empty: any. */
  readonly suggested: readonly string[];
}

export interface UsingPod extends PodConstraints {
  readonly uid: string;
}

export interface Companions {
  /** Where some of them are going, or are since they left the source. Empty: the first that is placed decides for all. */
  readonly nodes: ReadonlySet<string>;
  /** Those that have yet to leave the source: the node has to suit them as well. */
  readonly following: readonly FollowingVolume[];
}

export type FollowingVolume = Pick<
  VolumeDemand,
  'volume' | 'pool' | 'volumeBytes' | 'spaceBytes' | 'thin' | 'accessibility' | 'replicaNodes'
>;

/** `unfit`: suggested nodes that will not do. `refusals`: all nodes; where some are suggested, these alone. */
export type Placement =
  | { readonly kind: 'placed'; readonly node: string; readonly unfit?: Readonly<Record<string, Refusal>> }
  | { readonly kind: 'refused'; readonly refusals: Readonly<Record<string, Refusal>> };

/** What HwameiStor calls the zone and the region of everything that was given none. */
export const DEFAULT_TOPOLOGY = 'default';

/**
 * The node whose pool stays emptiest, by bytes; among equals the first by name, so that a repeat decides alike. A volume that no pod uses goes to a
 * node with a taint only if there is no other: its pods may not tolerate it when they come back. Of suggested nodes the first that will do.
 */
export function placeVolume(demand: VolumeDemand, nodes: readonly CandidateNode[]): Placement {
  if (demand.suggested.length > 0) return placeAsSuggested(demand, nodes);
  const refusals: Record<string, Refusal> = {};
  let best: { readonly node: string; readonly rank: number } | undefined;

  for (const node of nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const fullness = fullnessAfter(demand, node);
    if (typeof fullness === 'string') {
      refusals[node.name] = fullness;
      continue;
    }
    // Fullness is at most 1, so a taint outweighs it.
    const rank = fullness + (demand.pods.length === 0 && node.taints.some(keepsPodsAway) ? 2 : 0);
    if (best === undefined || rank < best.rank) best = { node: node.name, rank };
  }
  return best ? { kind: 'placed', node: best.node } : { kind: 'refused', refusals };
}

function placeAsSuggested(demand: VolumeDemand, nodes: readonly CandidateNode[]): Placement {
  const judged = demand.suggested.map((name) => {
    const node = nodes.find((candidate) => candidate.name === name);
    return { name, fullness: node ? fullnessAfter(demand, node) : ('NoSuchNode' as const) };
  });
  const refusals = Object.fromEntries(judged.flatMap(({ name, fullness }) => (typeof fullness === 'string' ? [[name, fullness]] : [])));
  const best = judged.find(({ fullness }) => typeof fullness === 'number');
  return best ? { kind: 'placed', node: best.name, unfit: refusals } : { kind: 'refused', refusals };
}

/** What the move takes of a node's pool; what it is reserved by. */
export function shareOf(
  { volumeBytes, spaceBytes, pool, thin }: FollowingVolume,
  { pools }: Pick<CandidateNode, 'pools'>,
): { readonly bytes: number; readonly thin?: ThinShare } {
  if (!thin) return { bytes: spaceBytes };
  const thinPool = pools.find(({ name }) => name === pool)?.thinPools.find(({ name }) => name === thin.pool);
  return {
    bytes: spaceBytes,
    thin: { pool: thin.pool, bytes: bytesOfCopy(thin, volumeBytes, thinPool?.chunkBytes), promisedBytes: volumeBytes },
  };
}

/** The used share (0 to 1) of the pool once the volume is there, or the first reason against it. */
function fullnessAfter(demand: VolumeDemand, node: CandidateNode): number | Refusal {
  const refusal = nodeRefusal(demand, node);
  if (refusal) return refusal;

  const filled = { ...node, reservations: promisesOf(node) };
  const fullness = poolFullnessAfter(demand, filled);
  if (typeof fullness === 'string' || demand.companions.nodes.size > 0) return fullness;
  return suitsAll(demand, filled) ? fullness : 'NoRoomForOtherVolumes';
}

/** What is promised to those that have reserved, and to those that follow them. */
function promisesOf(node: CandidateNode): readonly OutstandingReservation[] {
  return node.following.reduce((promises, next) => withShareOf(next, node, promises), node.reservations);
}

/** Each volume counts once. */
function withShareOf(
  next: FollowingVolume,
  node: CandidateNode,
  promises: readonly OutstandingReservation[],
): readonly OutstandingReservation[] {
  return [...promises.filter(({ volume }) => volume !== next.volume), { volume: next.volume, pool: next.pool, ...shareOf(next, node) }];
}

/** Whether those that follow fit as well, one after the other. */
function suitsAll(demand: VolumeDemand, node: CandidateNode): boolean {
  let { reservations } = node;
  let last: FollowingVolume = demand;
  for (const next of demand.companions.following) {
    reservations = withShareOf(last, node, reservations);
    const isThere = next.replicaNodes.has(node.name);
    const fits = isAccessible(next, node) && typeof poolFullnessAfter(next, { ...node, reservations }) === 'number';
    if (!isThere && !fits) return false;
    last = next;
  }
  return true;
}

/** Of its pool alone: the used share once the volume is there, or the first reason against it. */
function poolFullnessAfter(demand: FollowingVolume, node: CandidateNode): number | Refusal {
  const pool = node.pools.find(({ name }) => name === demand.pool);
  if (!pool) return 'NoSuchPool';
  const promised = node.reservations.filter((reservation) => reservation.pool === pool.name && reservation.volume !== demand.volume);
  if (promised.length + 1 > pool.freeVolumeCount) return 'VolumeCountReached';
  const { bytes, thin } = shareOf(demand, node);
  if (thin) return thinFullnessAfter(thin, pool, promised);
  if (pool.volumeLimitBytes !== undefined && demand.volumeBytes > pool.volumeLimitBytes) return 'CapacityLimitReached';
  const freeAfterBytes = pool.freeBytes - sumOf(promised, 'bytes') - bytes;
  return freeAfterBytes < 0 ? 'PoolFull' : 1 - freeAfterBytes / pool.totalBytes;
}

/** Of its thin pool. The volume group is not asked for room: without an extent left in it the metadata goes into a file. */
function thinFullnessAfter(share: ThinShare, { thinPools }: PoolState, promised: readonly OutstandingReservation[]): number | Refusal {
  const thinPool = thinPools.find(({ name }) => name === share.pool);
  if (!thinPool) return 'NoSuchThinPool';
  const others = promised.flatMap(({ thin }) => (thin?.pool === thinPool.name ? [thin] : []));
  const promisedBytes = thinPool.promisedBytes + sumOf(others, 'promisedBytes') + share.promisedBytes;
  if (thinPool.promisableBytes !== undefined && promisedBytes > thinPool.promisableBytes) return 'ThinPoolOvercommitted';
  const freeAfterBytes = thinPool.freeBytes - sumOf(others, 'bytes') - share.bytes;
  return freeAfterBytes < 0 ? 'PoolFull' : 1 - freeAfterBytes / thinPool.totalBytes;
}

function sumOf<Key extends string>(shares: readonly Readonly<Record<Key, number>>[], key: Key): number {
  return shares.reduce((sum, share) => sum + share[key], 0);
}

function nodeRefusal(demand: VolumeDemand, node: CandidateNode): Refusal | undefined {
  if (node.name === demand.sourceNode) return 'SourceNode';
  if (Object.hasOwn(demand.givenUp, node.name)) return demand.givenUp[node.name];
  if (!node.ready) return 'NodeNotReady';
  if (!node.schedulable) return 'NodeUnschedulable';
  if (node.underPressure) return 'NodeUnderPressure';
  if (!node.agentReady) return 'AgentNotReady';
  if (demand.replicaNodes.has(node.name) || node.pools.some(({ volumes }) => volumes.has(demand.volume))) return 'HasReplica';
  if (!isAccessible(demand, node)) return 'NotAccessible';
  if (demand.companions.nodes.size > 0 && !demand.companions.nodes.has(node.name)) return 'OtherVolumesElsewhere';
  const refusal = demand.pods.map((pod) => podRefusal(pod, node)).find((refusal) => refusal !== undefined);
  if (refusal) return refusal;
  const pods = demand.pods.map(({ uid }) => uid);
  if (!hasPlacesFor(pods, node.pods)) return 'PodCountReached';
  return hasPlacesFor(demand.attached, node.attachments) ? undefined : 'AttachmentCountReached';
}

function hasPlacesFor(wanted: readonly string[], places: Places | undefined): boolean {
  return places === undefined || wanted.length === 0 || places.taken.union(new Set(wanted)).size <= places.limit;
}

/**
 * A volume's list of nodes names the ones it lies on as well (HwameiStor fills it at creation): where that is all it names, it says where the volume
 * is and not where it may go. `default` alone is the schema's own value for zones and regions: nobody has asked for one.
 */
function isAccessible({ accessibility, replicaNodes }: FollowingVolume, node: CandidateNode): boolean {
  const others = accessibility.nodes.filter((name) => !replicaNodes.has(name));
  return (
    (others.length === 0 || others.includes(node.name)) &&
    liesIn(node.zone, accessibility.zones) &&
    liesIn(node.region, accessibility.regions)
  );
}

function liesIn(place: string, wanted: readonly string[]): boolean {
  return wanted.every((name) => name === DEFAULT_TOPOLOGY) || wanted.includes(place);
}

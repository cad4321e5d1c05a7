/**
 * Room on the target, planned and reserved in one compare-and-swap.
 *
 *   plan by the stores -- no node at all --> refused, without a request to the API server: a migration that waits asks again and again
 *        | some node
 *   list the nodes live -- a reservation of this migration stands --> kept
 *        |
 *   plan -> reserve on that node, if the plan made anew with the node as it was just read still says so -> reserved
 *        ^                                      | it says another
 *        +--------------------------------------+
 *
 * What the volume holds elsewhere goes last: a target that was to be given up is kept where no other takes the volume, and its room with it.
 */
import type { ClusterActivities, ReserveRequest, ReserveResult } from '../../core/contracts/cluster-activities.ts';
import type { LocalStorageNode, LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import type { Refusal } from '../../core/contracts/reasons.ts';
import { type Placement, placeVolume, shareOf, type VolumeDemand } from '../../core/domain/placement.ts';
import { localStorageNodes } from '../../system/kube/hwameistor-resources.ts';
import { releaseReservation as release, reserve } from '../../system/kube/reservations.ts';
import { keyOf } from '../../system/kube/resources.ts';
import { candidateOf, demandOf, poolStates } from './candidates.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { permanent } from './failures.ts';
import { followingOf } from './following-volumes.ts';
import { hasEnded, isTakenBack } from './migration-objects.ts';
import { readMigration } from './migration-record.ts';
import { nodeUsageOf } from './node-usage.ts';
import { podPlacesOf } from './pod-places.ts';
import { type StorageNode, type StorageNodes, storageNodeOf, storageNodesOf } from './storage-nodes.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'namespace' | 'logger'>;

/** Each lost race has brought fresher facts of one node. */
const MAXIMUM_PLANS = 50;

/** One after another in this process: at once they would lose the races to each other. Between processes the compare-and-swap decides. */
export const reserveTarget = (deps: Deps): ClusterActivities['reserveTarget'] => {
  let last: Promise<unknown> = Promise.resolve();
  return async (request) => {
    const known = storageNodesOf(deps.stores.localStorageNodes.list());
    const { placement: first } = plan(deps, request, deps.stores.localVolumeMigrates.get(keyOf(request.ref)), known);
    if (first.kind === 'refused' && !standing(request, known)) return first;
    const own = last.then(() => reserveInTurn(deps, request));
    last = own.catch(() => undefined);
    return own;
  };
};

async function reserveInTurn(deps: Deps, request: ReserveRequest): Promise<ReserveResult> {
  const { kube } = deps;
  const migrate = await readMigration(kube, request.ref);
  if (hasEnded(migrate)) throw permanent('NotPermitted', `${request.ref.name} has ended: nothing is reserved for it`);
  // Its abort says itself what it comes to grief on.
  if (isTakenBack(migrate)) return { kind: 'refused', refusals: {} };
  const nodes = storageNodesOf(await kube.list(localStorageNodes));
  const kept = standing(request, nodes);
  const result = kept ? reservedOn(kept) : await planAndReserve(deps, request, migrate, nodes);
  if (result.kind === 'reserved') {
    const others = [...nodes.values()].filter(({ metadata }) => metadata.name !== result.target.node);
    await releaseLeftOvers(deps, request.ref.volume, others);
  }
  return result;
}

/** Of whatever node: a run that was interrupted between the reservation and its report knows of no target. */
export const releaseReservation =
  ({ kube }: Pick<Deps, 'kube'>): ClusterActivities['releaseReservation'] =>
  async ({ ref }) => {
    for (const [node, { reservations }] of storageNodesOf(await kube.list(localStorageNodes))) {
      if (reservations.get(ref.volume)?.id === ref.uid) await release(kube, { node, volume: ref.volume, id: ref.uid });
    }
  };

async function planAndReserve(
  deps: Deps,
  request: ReserveRequest,
  migrate: LocalVolumeMigrate,
  nodes: Map<string, StorageNode>,
): Promise<ReserveResult> {
  const { volume, uid: id } = request.ref;
  for (let attempt = 1; attempt <= MAXIMUM_PLANS; attempt++) {
    const { demand, placement } = plan(deps, request, migrate, nodes);
    if (placement.kind === 'refused') return placement;
    const { node, unfit } = placement;
    const refusal = (fresh: LocalStorageNode): 'AnotherNode' | undefined => {
      nodes.set(node, storageNodeOf(fresh));
      const { placement: again } = plan(deps, request, migrate, nodes);
      return again.kind === 'placed' && again.node === node ? undefined : 'AnotherNode';
    };
    const share = shareOf(demand, { pools: poolStates(nodes.get(node)!) });
    const reservation = { pool: request.pool, ...share, id };
    const result = await reserve(deps.kube, { node, volume, reservation, refusal });
    if (result.kind === 'reserved') return reservedOn(nodes.get(node)!, unfit);
  }
  throw new Error(`no reservation for ${volume} within ${MAXIMUM_PLANS} plans: too many placements at once`);
}

interface Plan {
  readonly demand: VolumeDemand;
  readonly placement: Placement;
}

function plan(deps: Deps, request: ReserveRequest, migrate: LocalVolumeMigrate | undefined, nodes: StorageNodes): Plan {
  const { stores } = deps;
  const places = podPlacesOf(stores, nodes);
  const usage = nodeUsageOf(stores, places);
  const following = followingOf(stores, nodes);
  const candidates = Array.from(nodes, ([name, node]) => candidateOf(deps, node, usage, following.get(name) ?? []));
  const demand = demandOf(deps, request, migrate, nodes, places);
  return { demand, placement: placeVolume(demand, candidates) };
}

/** The node on which this migration has reserved already, unless it was given up since. */
function standing({ ref, givenUp }: ReserveRequest, nodes: StorageNodes): StorageNode | undefined {
  return nodes.values().find((node) => !Object.hasOwn(givenUp, node.metadata.name) && node.reservations.get(ref.volume)?.id === ref.uid);
}

/** A volume has one open migration: what stands elsewhere is of a target that was given up, or of a migration that was deleted. */
async function releaseLeftOvers({ kube, logger }: Deps, volume: string, nodes: readonly StorageNode[]): Promise<void> {
  for (const { metadata, reservations } of nodes) {
    const id = reservations.get(volume)?.id;
    if (id === undefined) continue;
    const leftOver = { node: metadata.name, volume, id };
    await release(kube, leftOver);
    logger.warn(leftOver, 'released a reservation that was left over');
  }
}

function reservedOn({ metadata, spec }: LocalStorageNode, unfit: Readonly<Record<string, Refusal>> = {}): ReserveResult {
  const target = { node: metadata.name, storageAddress: spec.storageIP };
  return { kind: 'reserved', target, ...(Object.keys(unfit).length > 0 && { unfit }) };
}

/** What the objects say of a volume that is to move: where it is, whether the move is still wanted, and what holds the volume on its source. */
import type { ClusterActivities, VolumeFacts } from '../../core/contracts/cluster-activities.ts';
import type { MigrationRef } from '../../core/contracts/migration.ts';
import { Annotation, agentLease, type Trigger } from '../../core/contracts/names.ts';
import type { LocalVolume, LocalVolumeMigrate, Progress } from '../../core/contracts/objects/index.ts';
import { isCordoned, whyKept } from '../../core/domain/node-wish.ts';
import { inWords } from '../../core/domain/stay.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { isLeaseHeld } from '../../system/kube/lease.ts';
import { keyOf, persistentVolumeClaims } from '../../system/kube/resources.ts';
import { companionsVerdict } from './companions.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { evictionMarksOf } from './eviction-marks.ts';
import { isOpen, isTakenBack, migrationsOf, triggerOf } from './migration-objects.ts';
import type { ClusterStores } from './stores.ts';
import { type ClaimName, claimOf, mirrorEnd, replicaNodesOf, replicasOf } from './volume-objects.ts';
import { heldBy, usersOf } from './volume-users.ts';

type Facts = Pick<ClusterDependencies, 'stores' | 'namespace'>;
type Seen = Pick<ClusterDependencies, 'kube' | 'stores'>;
type Deps = Facts & Seen & Pick<ClusterDependencies, 'whyStays'>;

/**
 * A run's first look (no migration yet) reads LocalVolume, replica and migration live: a store that lags would show a volume that has just left, and a
 * migration opened for it would find nothing there.
 */
export const observeVolume =
  (deps: Deps): ClusterActivities['observeVolume'] =>
  async ({ volume, sourceNode, trigger, ref, request }) => {
    const { stores } = deps;
    const known = replicasOf(stores, volume).find(({ spec }) => spec.nodeName === sourceNode);
    const [replica, localVolume, migrate] = await Promise.all(
      ref
        ? [known, stores.localVolumes.get(keyOf({ name: volume })), migrationSeen(deps, ref)]
        : [
            known && deps.kube.find(localVolumeReplicas, known.metadata),
            deps.kube.find(localVolumes, { name: volume }),
            migrationToBegin(deps.kube, volume, request?.uid),
          ],
    );
    const source = mirrorEnd(stores, sourceNode);
    const stay = deps.whyStays(stores, volume, sourceNode);
    const companions = migrate && companionsVerdict(stores, migrate);
    const isBound = companions?.follows !== undefined && migrate?.metadata.deletionTimestamp === undefined;
    const unwanted = isBound
      ? undefined
      : ((await whyUnwanted(deps, volume, sourceNode, migrate ?? trigger)) ?? (stay && inWords(volume, stay)));
    const { percent } = progressOf(migrate);
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
      ...(companions && { companions }),
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

/** A store that does not know of it yet is no proof that it is gone. */
async function migrationSeen({ kube, stores }: Seen, ref: MigrationRef): Promise<LocalVolumeMigrate | undefined> {
  const seen = stores.localVolumeMigrates.get(keyOf(ref)) ?? (await kube.find(localVolumeMigrates, ref));
  return seen?.metadata.uid === ref.uid ? seen : undefined;
}

/** The one that runs already, else the one that is asked for. */
async function migrationToBegin(kube: KubeClient, volume: string, uid: string | undefined): Promise<LocalVolumeMigrate | undefined> {
  const known = await migrationsOf(kube, volume);
  return known.find(isOpen) ?? known.find(({ metadata }) => metadata.uid === uid);
}

/**
 * What was begun because a node was cordoned is wanted while it is, and its label does not say otherwise; because a pod was evicted, while the claim
 * says so. What somebody asked for is wanted for as long as they ask: they named the volume, where cordon and label speak of all that is on the node.
 * @param migrate undefined before there is one: then what started the run.
 */
async function whyUnwanted(deps: Seen, volume: string, node: string, migrate: LocalVolumeMigrate | Trigger): Promise<string | undefined> {
  const { kube, stores } = deps;
  if (migrate === 'migrate-request') return 'its LocalVolumeMigrate is gone';
  const withdrawn = typeof migrate === 'string' ? undefined : await whyWithdrawn(deps, migrate);
  if (withdrawn !== undefined) return withdrawn;
  switch (typeof migrate === 'string' ? migrate : triggerOf(migrate)) {
    case 'node-drain':
      return whyNotToBeEmptied(stores, node);
    case 'pod-eviction':
      return whyKept(stores.nodes.get(keyOf({ name: node }))) ?? whyNoPodLeaves(kube, claimOf(stores, volume), node);
    default:
      return undefined;
  }
}

/** The claim is read live: whoever takes the mark off tells the migration at once, and perhaps not again. */
async function whyNoPodLeaves(kube: KubeClient, name: ClaimName | undefined, node: string): Promise<string | undefined> {
  const claim = name && (await kube.find(persistentVolumeClaims, name));
  return claim && evictionMarksOf(claim).some((mark) => mark.node === node) ? undefined : `no eviction of a pod on ${node} goes on`;
}

/**
 * `spec.abort` is not asked: it is a person's word, which the signal `abort` brings. The one that it moves with stays until this one has ended
 * (core/domain/retention.ts): where it is gone, it was deleted before it was begun.
 */
export async function whyWithdrawn({ kube, stores }: Seen, { metadata }: LocalVolumeMigrate): Promise<string | undefined> {
  if (metadata.deletionTimestamp !== undefined) return `LocalVolumeMigrate ${metadata.name} is deleted`;
  const leader = metadata.annotations?.[Annotation.movesWith];
  if (leader === undefined) return undefined;
  const seen = stores.localVolumeMigrates.get(keyOf({ name: leader })) ?? (await kube.find(localVolumeMigrates, { name: leader }));
  if (!seen) return `LocalVolumeMigrate ${leader}, with which it moves, is gone`;
  return isTakenBack(seen) ? `LocalVolumeMigrate ${leader}, with which it moves, is aborted` : undefined;
}

/** A node that is gone says nothing: what was begun on it goes on. */
function whyNotToBeEmptied({ nodes }: ClusterStores, name: string): string | undefined {
  const node = nodes.get(keyOf({ name }));
  if (!node) return undefined;
  return isCordoned(node) ? whyKept(node) : `node ${name} is not cordoned`;
}

/** Asked for on the node, for all that is on it, or on the volume. */
function isOnlineWanted({ nodes, localVolumes }: ClusterStores, volume: string, node: string): boolean {
  const objects = [nodes.get(keyOf({ name: node })), localVolumes.get(keyOf({ name: volume }))];
  return objects.some((object) => object?.metadata.annotations?.[Annotation.online] === 'true');
}

export function isAgentAlive({ stores, namespace }: Facts, node: string): boolean {
  return isLeaseHeld(stores.leases.get(keyOf({ namespace, name: agentLease(node) })));
}

function agentsAlive(facts: Facts, nodes: readonly (string | undefined)[]): Readonly<Record<string, boolean>> {
  return Object.fromEntries(nodes.filter((node) => node !== undefined).map((node) => [node, isAgentAlive(facts, node)]));
}

/** The agent writes its progress while it syncs or verifies; in other phases what stands there is of the past. */
export function progressOf(migrate: LocalVolumeMigrate | undefined): Partial<Progress> {
  const { phase, progress } = migrate?.status ?? {};
  return phase === 'Syncing' || phase === 'Verifying' ? (progress ?? {}) : {};
}

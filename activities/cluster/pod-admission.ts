/**
 * Whether a pod may be scheduled, and where, by what its claims' volumes are about to do.
 *
 * What decides is read live: a successor is created in the moment in which its predecessor goes, by a controller that has heard of that before this
 * process, whichever it is.
 */
import { TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { isEvictionDisabled, isToBeEmptied } from '../../core/domain/node-wish.ts';
import { hasBegun, willBeEvicted } from '../../core/domain/pod-eviction.ts';
import { admitPod, type ClaimFacts, type MigrationFacts, type PodAdmission, requireAlso } from '../../core/domain/pod-gate.ts';
import { localVolumes } from '../../system/kube/hwameistor-resources.ts';
import {
  keyOf,
  nodes,
  type PersistentVolumeClaim,
  type Pod,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
} from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { evictionMarksOf, findPod, podStateOf } from './eviction-marks.ts';
import { isOpen, isRequest, migrationsOf, triggerOf } from './migration-objects.ts';
import { isHeld } from './node-eviction.ts';
import { withLive } from './stay.ts';
import { claimNames, localVolumeOf, replicaNodesOf, replicasOf } from './volume-objects.ts';

interface Deps extends Pick<ClusterDependencies, 'kube' | 'stores' | 'whyStays'> {
  /** False beside a live HwameiStor: no move begins then, and none is waited for that has not begun. */
  readonly isActive: () => boolean;
}
type Affinity = NonNullable<NonNullable<Pod['spec']>['affinity']>;

/** A claim of the pod that is bound to a volume of ours. */
interface BoundClaim {
  readonly claim: PersistentVolumeClaim;
  readonly volume: string;
  readonly bindsPods: boolean;
}

/** @param claims of the pod, by name; those that are not there yet, or not ours, count for nothing. */
export async function judgePod(deps: Deps, namespace: string, claims: readonly string[]): Promise<PodAdmission> {
  const found = await Promise.all(claims.map((name) => findBoundClaim(deps, namespace, name)));
  const ours = found.filter((claim) => claim !== undefined);
  if (ours.length === 0) return { waitsFor: [], nodeLists: [] };
  const failed = await deps.kube.list(pods, { namespace, fieldSelector: 'status.phase=Failed' });
  const looked = await Promise.all(ours.map((claim) => factsOf(deps, claim, failed)));
  const isActive = deps.isActive();
  // Beside a live HwameiStor one that does not move has nothing to wait for, be its replica up to date or not.
  const facts = looked.filter((each) => each !== undefined).filter(({ migration }) => isActive || migration !== undefined);
  // Its other volumes stay with one that does.
  const staysOn = facts.flatMap((each) => each.staysOn);
  const leaves = (node: string) => !staysOn.includes(node);
  const { waitsFor, nodeLists } = admitPod(
    facts.map((each) => ({ ...each, evictedFrom: each.evictedFrom.filter(leaves), drained: each.drained.filter(leaves) })),
  );
  if (!isActive) return { waitsFor, nodeLists: [] };
  return { waitsFor, nodeLists: nodeLists.filter((list) => list.every((node) => isNamedByItsLabel(deps, node))) };
}

async function findBoundClaim({ kube, stores }: Deps, namespace: string, name: string): Promise<BoundClaim | undefined> {
  const claim = await kube.find(persistentVolumeClaims, { namespace, name });
  if (!claim?.spec?.volumeName) return undefined;
  const known = stores.persistentVolumes.get(keyOf({ name: claim.spec.volumeName }));
  const persistentVolume = known ?? (await kube.find(persistentVolumes, { name: claim.spec.volumeName }));
  const volume = localVolumeOf({ ...stores, persistentVolumes: { list: () => [], get: () => persistentVolume } }, claim);
  // One that is being made again has a nodeAffinity: no other is.
  return volume === undefined
    ? undefined
    : { claim, volume, bindsPods: !persistentVolume || persistentVolume.spec?.nodeAffinity !== undefined };
}

interface Looked extends ClaimFacts {
  /** Nodes that it does not leave, whatever becomes of them. */
  readonly staysOn: readonly string[];
}

/** @returns undefined where there is no LocalVolume: nobody knows then where the volume lies. */
async function factsOf(deps: Deps, { claim, volume, bindsPods }: BoundClaim, failed: readonly Pod[]): Promise<Looked | undefined> {
  const { kube, stores, whyStays } = deps;
  const isActive = deps.isActive();
  const evictedFrom = isActive ? await evictedFromOf(deps, claim, failed) : [];
  const [localVolume, migrations] = await Promise.all([kube.find(localVolumes, { name: volume }), migrationsOf(kube, volume)]);
  if (!localVolume) return undefined;
  const lying = replicaNodesOf(stores, localVolume);
  const upToDate = replicasOf(stores, volume).filter(({ status }) => status?.state === 'Ready' && status.synced === true);
  const live = withLive(stores, localVolume, claim);
  const held = migrations.filter(isHeld).map(({ spec }) => spec.sourceNode);
  return {
    volume,
    bindsPods,
    evictedFrom,
    nodes: lying,
    staysOn: lying.filter((node) => whyStays(live, volume, node)),
    upToDateNodes: upToDate.map(({ spec }) => spec.nodeName).filter((node) => lying.includes(node)),
    drained: isActive ? (await drainedOf(deps, lying)).filter((node) => !held.includes(node)) : [],
    migration: describeMigration(migrations.find(isOpen) ?? (isActive ? migrations.find(isAskedFor) : undefined)),
  };
}

/** In the same breath as its pod is deleted, perhaps: no run has taken it up yet. */
function isAskedFor(migrate: LocalVolumeMigrate): boolean {
  return isRequest(migrate) && !migrate.spec.abort && migrate.metadata.deletionTimestamp === undefined;
}

function describeMigration(migrate: LocalVolumeMigrate | undefined): MigrationFacts | undefined {
  if (!migrate) return undefined;
  const { phase = 'Pending', parkedIn, target } = migrate.status ?? {};
  const isAsked = triggerOf(migrate) !== 'node-drain';
  return { sourceNode: migrate.spec.sourceNode, phase, parkedIn, hasTarget: target !== undefined, isAsked };
}

/** By the claim's marks, and by pods that their kubelets evicted in this moment. */
async function evictedFromOf({ kube }: Deps, claim: PersistentVolumeClaim, failed: readonly Pod[]): Promise<readonly string[]> {
  const { namespace = '', name } = claim.metadata;
  const unmarked = failed.filter((pod) => claimNames(pod).includes(name) && willBeEvicted(podStateOf(pod)));
  const begun = await Promise.all(
    evictionMarksOf(claim).map(async ({ pod, uid, node }) => (hasBegun(await findPod(kube, { namespace, name: pod }, uid)) ? [node] : [])),
  );
  const leaving = new Set([...begun.flat(), ...unmarked.flatMap(({ spec }) => spec?.nodeName ?? [])]);
  const found = await Promise.all(Array.from(leaving, async (node) => ({ node, object: await kube.find(nodes, { name: node }) })));
  return found.filter(({ object }) => !isEvictionDisabled(object)).map(({ node }) => node);
}

async function drainedOf({ kube, stores }: Deps, lying: readonly string[]): Promise<readonly string[]> {
  const managed = lying.filter((name) => stores.localStorageNodes.get(keyOf({ name })));
  const found = await Promise.all(managed.map((name) => kube.find(nodes, { name })));
  return found.filter(isToBeEmptied).flatMap((node) => node?.metadata.name ?? []);
}

/** Where it is not, nothing can be required by that label. */
function isNamedByItsLabel({ stores }: Deps, node: string): boolean {
  return stores.nodes.get(keyOf({ name: node }))?.metadata.labels?.[TOPOLOGY_KEY] === node;
}

/** The pod's affinity with a node of each of these lists required. undefined: it stays as it is. */
export function affinityFor(affinity: Affinity | undefined, { nodeLists }: PodAdmission): Affinity | undefined {
  if (nodeLists.length === 0) return undefined;
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const requirements = nodeLists.map((values) => ({ key: TOPOLOGY_KEY, operator: 'In', values }));
  const nodeSelectorTerms = requireAlso(required?.nodeSelectorTerms, requirements) as NonNullable<typeof required>['nodeSelectorTerms'];
  const nodeAffinity = { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  return { ...affinity, nodeAffinity };
}

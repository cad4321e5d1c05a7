/** A pod whose volumes move to another node because it was evicted: what its claims say, what runs, and how its end is told. */
import type { ClusterActivities, EvictedMigration } from '../../core/contracts/cluster-activities.ts';
import type { EvictPodInput } from '../../core/contracts/migration.ts';
import { Label } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { whyKept } from '../../core/domain/node-wish.ts';
import { COMPLETED } from '../../core/domain/pod-eviction.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { isNotFound } from '../../system/kube/errors.ts';
import { type Regarding, regarding } from '../../system/kube/events.ts';
import { localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { apiVersionOf, keyOf, nodes, type PersistentVolumeClaim, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { isMarkedBy, unmarkClaim } from './eviction-marks.ts';
import { isOpen, migrationsOf } from './migration-objects.ts';
import { describeRunning } from './node-eviction.ts';
import { withLive } from './stay.ts';
import { localVolumeOf, replicaNodesOf } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'events'>;
type ObserveDeps = Pick<ClusterDependencies, 'kube' | 'stores' | 'whyStays'>;

const WARNING = 'PodEvictionStopped';

/** All that decides is read live: a look that was asked for because something changed must not see what was before. */
export const observePodEviction =
  (deps: ObserveDeps): ClusterActivities['observePodEviction'] =>
  async ({ pod: { namespace, uid }, node: name, claims }) => {
    const { kube } = deps;
    const unwanted = whyKept(await kube.find(nodes, { name }));
    const found = await Promise.all(claims.map((claim) => kube.find(persistentVolumeClaims, { namespace, name: claim })));
    const looked = await Promise.all(found.map((claim) => claim && lookAt(deps, claim, uid, name)));
    const ours = looked.filter((each) => each !== undefined);
    return {
      ...(unwanted !== undefined && { unwanted }),
      volumes: ours.map(({ running, ...volume }) => volume),
      running: ours.flatMap(({ running }) => running),
    };
  };

/** @returns undefined: the claim has no volume of ours. */
async function lookAt({ kube, stores, whyStays }: ObserveDeps, claim: PersistentVolumeClaim, uid: string, node: string) {
  const volume = localVolumeOf(stores, claim);
  if (volume === undefined) return undefined;
  const [localVolume, migrations] = await Promise.all([kube.find(localVolumes, { name: volume }), migrationsOf(kube, volume)]);
  const isMarked = isMarkedBy(claim, uid);
  const stays = localVolume && whyStays(withLive(stores, localVolume, claim), volume, node);
  return {
    volume,
    onNode: localVolume !== undefined && replicaNodesOf(stores, localVolume).includes(node),
    ...(!isMarked && { unmarked: true as const }),
    ...(stays && { stays }),
    running: isMarked ? migrations.filter(isOpen).map(describeEvicted) : [],
  };
}

function describeEvicted(migrate: LocalVolumeMigrate): EvictedMigration {
  const { pointOfNoReturn = false, reason, progress } = migrate.status ?? {};
  return {
    ...describeRunning(migrate),
    pointOfNoReturn,
    ...(reason !== undefined && { reason }),
    ...(progress && { syncedBytes: progress.syncedBytes }),
  };
}

export const reportPodEviction =
  ({ stores, events }: Deps): ClusterActivities['reportPodEviction'] =>
  async ({ pod, node: name, claims, event, message }) => {
    const node = stores.nodes.get(keyOf({ name }));
    const known = claims.flatMap((claim) => stores.persistentVolumeClaims.get(keyOf({ namespace: pod.namespace, name: claim })) ?? []);
    const told: Regarding[] = [
      // Also where it is gone: who looks for its Events finds them by its name.
      { apiVersion: apiVersionOf(pods), kind: pods.kind, ...pod },
      ...known.map((claim) => regarding(persistentVolumeClaims, claim)),
      ...(node ? [regarding(nodes, node)] : []),
    ];
    const note = `pod ${pod.namespace}/${pod.name}: ${message}`;
    const type = event === WARNING ? 'Warning' : 'Normal';
    await Promise.all(told.map((object) => events.tell({ regarding: object, reason: event, note, type })));
  };

/** The label first: a pod that was evicted by its kubelet, and stays, must not be taken for another one when its claims say nothing any more. */
export const endPodEviction =
  ({ kube }: Deps): ClusterActivities['endPodEviction'] =>
  async ({ pod, claims }) => {
    await label(kube, pod);
    for (const name of claims) await unmarkClaim(kube, { namespace: pod.namespace, name }, pod.uid);
  };

/** @throws {KubeError} 409 where it has changed since it was read. */
async function label(kube: KubeClient, { uid, ...name }: EvictPodInput['pod']): Promise<void> {
  const pod = await kube.find(pods, name);
  // It is gone, and another may have its name.
  if (pod?.metadata.uid !== uid) return;
  const { resourceVersion } = pod.metadata;
  try {
    await kube.mergePatch(pods, name, { metadata: { resourceVersion, labels: { [Label.eviction]: COMPLETED } } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

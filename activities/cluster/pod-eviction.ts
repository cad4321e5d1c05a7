/** A pod whose volumes move to another node because it was evicted: what its claims say, what runs, and how its end is told. */
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { EvictPodInput } from '../../core/contracts/migration.ts';
import { Label } from '../../core/contracts/names.ts';
import { whyKept } from '../../core/domain/node-wish.ts';
import { COMPLETED } from '../../core/domain/pod-eviction.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { isNotFound } from '../../system/kube/errors.ts';
import { type Regarding, regarding } from '../../system/kube/events.ts';
import { localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { apiVersionOf, keyOf, nodes, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { isMarkedBy, unmarkClaim } from './eviction-marks.ts';
import { isOpen, migrationsOf } from './migration-objects.ts';
import { describeRunning } from './node-eviction.ts';
import type { ClusterStores } from './stores.ts';
import { localVolumeOf, replicaNodesOf } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'events'>;

const WARNING = 'PodEvictionStopped';

/** All that decides is read live: a look that was asked for because something changed must not see what was before. */
export const observePodEviction =
  ({ kube, stores }: Deps): ClusterActivities['observePodEviction'] =>
  async ({ pod: { namespace, uid }, node: name, claims }) => {
    const found = await Promise.all(claims.map((claim) => kube.find(persistentVolumeClaims, { namespace, name: claim })));
    const looked = await Promise.all(
      found.map(async (claim) => {
        const volume = claim && localVolumeOf(stores, claim);
        return volume === undefined ? [] : { isMarked: isMarkedBy(claim, uid), ...(await lookAt(kube, stores, volume, name)) };
      }),
    ).then((all) => all.flat());
    const marked = looked.filter(({ isMarked }) => isMarked);
    // Somebody took the mark off one of them: it stays, and the others with it.
    const staying = looked.find(({ isMarked, onNode }) => !isMarked && onNode);
    const unwanted =
      whyKept(await kube.find(nodes, { name })) ?? (staying && `somebody took the mark of the eviction off the claim of ${staying.volume}`);
    return {
      ...(unwanted !== undefined && { unwanted }),
      volumes: marked.map(({ volume, onNode }) => ({ volume, onNode })),
      running: marked.flatMap(({ running }) => running),
    };
  };

async function lookAt(kube: KubeClient, stores: ClusterStores, volume: string, node: string) {
  const [localVolume, migrations] = await Promise.all([kube.find(localVolumes, { name: volume }), migrationsOf(kube, volume)]);
  const running = migrations.filter(isOpen);
  return {
    volume,
    onNode: localVolume !== undefined && replicaNodesOf(stores, localVolume).includes(node),
    running: running.map((migrate) => ({ ...describeRunning(migrate), pointOfNoReturn: migrate.status?.pointOfNoReturn === true })),
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

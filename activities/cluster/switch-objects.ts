/**
 * From here the objects say that the volume is on its new node.
 *
 *   replica -> LocalVolume (configuration, status) -> PersistentVolume, which is what lets pods follow, last
 *
 * Every step looks first and acts on the difference, so the whole may be repeated after a crash at any instant. How the PersistentVolume was is kept
 * in the LocalVolumeMigrate from before it is deleted until after it is made again: whichever run comes next finds it there.
 */
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { MigrationRef } from '../../core/contracts/migration.ts';
import type { LocalVolumeMigrate, LocalVolumeReplica } from '../../core/contracts/objects/index.ts';
import { type Json, mergePatchBetween } from '../../core/domain/merge-patch.ts';
import type { NodeIdentity } from '../../core/domain/rebind.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { isAlreadyExists, isNotFound } from '../../system/kube/errors.ts';
import { regarding } from '../../system/kube/events.ts';
import { localVolumeMigrates, localVolumeReplicas } from '../../system/kube/hwameistor-resources.ts';
import {
  NodeAffinityProbe,
  PersistentVolumeRefused,
  type RebindOptions,
  type RebindRecord,
  rebindPersistentVolume,
} from '../../system/kube/rebind-persistent-volume.ts';
import { keyOf, persistentVolumeClaims, persistentVolumes } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { permanent } from './failures.ts';
import { moveLocalVolume } from './local-volume.ts';
import { hasEnded, nameSuffix } from './migration-objects.ts';
import { readMigration } from './migration-record.ts';
import { releaseReservation } from './reservation.ts';
import { claimOf, findPersistentVolume, persistentVolumeOf, replicasOf } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'events' | 'reachFaultPoint'>;
type Request = Parameters<ClusterActivities['switchObjects']>[0];

export const switchObjects = (deps: Deps): ClusterActivities['switchObjects'] => {
  // One answer of the API server serves every volume.
  const probe = new NodeAffinityProbe();
  return async (request) => {
    const { ref, sourceNode, target } = request;
    const migrate = await readPermission(deps.kube, ref, { source: sourceNode, target: target.node });
    const replica = await ensureReplica(deps, request);
    deps.reachFaultPoint('after', 'switchObjects.replica');
    const left = replicasOf(deps.stores, ref.volume).filter(({ spec }) => spec.nodeName === sourceNode);
    await moveLocalVolume(deps.kube, ref.volume, {
      sourceNode,
      target,
      replica: replica.metadata.name,
      leftReplicas: left.map(({ metadata }) => metadata.name),
    });
    deps.reachFaultPoint('after', 'switchObjects.localVolume');
    await movePersistentVolume(deps, request, migrate, probe);
  };
};

export const removeSourceReplica =
  ({ kube }: Pick<Deps, 'kube'>): ClusterActivities['removeSourceReplica'] =>
  async ({ ref, sourceNode }) => {
    await readPermission(kube, ref, { source: sourceNode });
    // Live: nobody comes back for one of which the store has not heard.
    const onSource = await kube.list(localVolumeReplicas, { fieldSelector: `spec.nodeName=${sourceNode}` });
    const left = onSource.filter(({ spec }) => spec.volumeName === ref.volume);
    for (const { metadata } of left) {
      await kube.delete(localVolumeReplicas, metadata, { preconditions: { uid: metadata.uid } }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }
    await releaseReservation({ kube })({ ref });
  };

/** @throws NotPermitted unless this migration is past its point of no return, moves from and to these nodes, and has not ended. */
async function readPermission(
  kube: KubeClient,
  ref: MigrationRef,
  nodes: { readonly source: string; readonly target?: string },
): Promise<LocalVolumeMigrate> {
  const migrate = await readMigration(kube, ref);
  const { sourceNode } = migrate.spec;
  const { pointOfNoReturn, target } = migrate.status ?? {};
  const movesThere = nodes.source === sourceNode && (nodes.target === undefined || nodes.target === target?.node);
  if (!pointOfNoReturn || hasEnded(migrate) || !movesThere) {
    const state = `${migrate.status?.phase} from ${sourceNode} to ${target?.node ?? 'no node'}, point of no return ${pointOfNoReturn ? '' : 'not '}passed`;
    throw permanent('NotPermitted', `LocalVolumeMigrate ${ref.name} does not allow to switch objects: it is ${state}`);
  }
  return migrate;
}

/** The volume's replica on the target; one that is there already is adopted. */
async function ensureReplica({ kube, stores }: Deps, { ref, sourceNode, target, pool, sizeBytes }: Request): Promise<LocalVolumeReplica> {
  const replicas = replicasOf(stores, ref.volume);
  const known = replicas.find(({ spec }) => spec.nodeName === target.node);
  // The store may not have heard that it is gone: the volume was here before.
  const standing = known && (await kube.find(localVolumeReplicas, { name: known.metadata.name }));
  if (standing && standing.metadata.uid === known?.metadata.uid && standing.metadata.deletionTimestamp === undefined) return standing;

  const model = replicas.find(({ spec }) => spec.nodeName === sourceNode)?.spec;
  const requiredCapacityBytes = stores.localVolumes.get(ref.volume)?.spec.requiredCapacityBytes ?? sizeBytes;
  const spec = { requiredCapacityBytes, ...model, volumeName: ref.volume, poolName: pool, nodeName: target.node, delete: false };
  // The same at every repeat, also where the store has not heard of the first attempt's.
  const name = `${ref.volume}-${nameSuffix(ref.volume, ref.uid)}`;
  try {
    return await kube.create(localVolumeReplicas, { metadata: { name }, spec });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return kube.get(localVolumeReplicas, { name });
  }
}

async function movePersistentVolume(deps: Deps, request: Request, migrate: LocalVolumeMigrate, probe: NodeAffinityProbe): Promise<void> {
  const { kube, stores, reachFaultPoint } = deps;
  const recorded = recordIn(migrate)?.manifest.metadata.name;
  const persistentVolume =
    recorded ?? persistentVolumeOf(stores, request.ref.volume)?.metadata.name ?? (await findNameLive(kube, request.ref));
  if (persistentVolume === undefined) return;
  const options: RebindOptions = {
    client: kube,
    probe,
    record: {
      read: async () => recordIn(await readMigration(kube, request.ref)),
      write: (record) => writeRecord(kube, request.ref, record),
    },
    reached: async (step) => reachFaultPoint('after', `switchObjects.${step}`),
  };
  const ends = { source: identify(deps, request.sourceNode), target: identify(deps, request.target.node) };
  const outcome = await rebindPersistentVolume({ persistentVolume, ...ends }, options).catch((error: unknown) => {
    throw error instanceof PersistentVolumeRefused ? permanent('PersistentVolumeRefused', error.message) : error;
  });
  if (outcome.kind === 'Rebound' && outcome.recreated) await tellRebound(deps, request, migrate, persistentVolume);
}

/** That there is none is final: another attempt may have deleted it since the migration was read. The record after the list: whoever deletes records first. */
async function findNameLive(kube: KubeClient, ref: MigrationRef): Promise<string | undefined> {
  const named = findPersistentVolume(await kube.list(persistentVolumes), ref.volume);
  return named?.metadata.name ?? recordIn(await readMigration(kube, ref))?.manifest.metadata.name;
}

function recordIn({ status }: LocalVolumeMigrate): RebindRecord | undefined {
  // Written by writeRecord alone; the schema keeps what it does not know.
  return status?.persistentVolume as RebindRecord | undefined;
}

/** With the resourceVersion as its condition. What is recorded of another PersistentVolume stays: it is from before this one was made. */
async function writeRecord(kube: KubeClient, ref: MigrationRef, record: RebindRecord): Promise<void> {
  const migrate = await readMigration(kube, ref);
  const known = recordIn(migrate);
  if (known && known.uid !== record.uid) return;
  const persistentVolume = mergePatchBetween(known as Json | undefined, record as unknown as Json);
  if (persistentVolume === undefined) return;
  const patch = { metadata: { resourceVersion: migrate.metadata.resourceVersion }, status: { persistentVolume } } as object;
  await kube.mergePatch(localVolumeMigrates, { name: ref.name }, patch, { subresource: 'status' });
}

function identify({ stores }: Deps, name: string): NodeIdentity {
  return { name, labels: stores.nodes.get(keyOf({ name }))?.metadata.labels ?? {} };
}

/** Kubernetes has told the claim's owner that its data is lost. */
async function tellRebound({ events, stores }: Deps, { ref, target }: Request, migrate: LocalVolumeMigrate, name: string): Promise<void> {
  const note = `PersistentVolume ${name} was made again with node ${target.node}; the Event ClaimLost beside this one means nothing: the data is there`;
  const claimName = claimOf(stores, ref.volume);
  const claim = claimName && stores.persistentVolumeClaims.get(keyOf(claimName));
  const told = [regarding(localVolumeMigrates, migrate), ...(claim ? [regarding(persistentVolumeClaims, claim)] : [])];
  await Promise.all(told.map((object) => events.tell({ regarding: object, reason: 'PersistentVolumeRebound', note })));
}

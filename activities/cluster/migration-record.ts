/**
 * A migration's durable state: its LocalVolumeMigrate.
 *
 * At most one of a volume's is open. The name of a new one follows from the ended ones, so of several who would open one at the same time (a second
 * controller, an activity that outlived its workflow) the API server lets one succeed; the others find the name taken and adopt what stands there.
 * It is read live wherever its state decides: a store that lags would revive a migration that has ended.
 */
import type { ClusterActivities, MigrationRecord } from '../../core/contracts/cluster-activities.ts';
import type { MigrateVolumeInput, MigrationRef } from '../../core/contracts/migration.ts';
import { MIGRATION_FINALIZER, workflowId } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate, LocalVolumeMigrateStatus } from '../../core/contracts/objects/index.ts';
import { stateOfPhase } from '../../core/contracts/phases.ts';
import { isOnSource } from '../../core/domain/entry.ts';
import type { KubeClient, MergePatch } from '../../system/kube/client.ts';
import { isAlreadyExists, isConflict } from '../../system/kube/errors.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { permanent } from './failures.ts';
import { hasEnded, isOpen, isRequest, labelsOf, migrationName, migrationsOf } from './migration-objects.ts';
import { observeVolume } from './volume-facts.ts';
import { mirrorEnd } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'now' | 'namespace' | 'whyStays' | 'hashCheck'>;

export const openMigration =
  (deps: Deps): ClusterActivities['openMigration'] =>
  async (request) => {
    const { kube } = deps;
    const known = await migrationsOf(kube, request.volume);
    const standing = known.find(isOpen);
    if (!standing) await requireNotMoved(deps, request, known);
    const open = standing ?? (await (request.trigger === 'migrate-request' ? claim : create)(kube, request, known));
    const isBegun = open.status?.phase !== undefined && open.status.follows === undefined;
    return recordOf(deps, isBegun ? open : await begin(deps, open));
  };

export const findMigration =
  (deps: Deps): ClusterActivities['findMigration'] =>
  async ({ volume }) => {
    const open = (await migrationsOf(deps.kube, volume)).find(isOpen);
    return open && recordOf(deps, open);
  };

/** The migration as it stands now. @throws NotPermitted where somebody has deleted it, another has taken its name, or it is about another volume. */
export async function readMigration(kube: KubeClient, { name, uid, volume }: MigrationRef): Promise<LocalVolumeMigrate> {
  const found = await kube.find(localVolumeMigrates, { name });
  if (found?.metadata.uid !== uid) throw permanent('NotPermitted', `LocalVolumeMigrate ${name} is gone: nothing allows this step`);
  const { volumeName } = found.spec;
  if (volumeName !== volume) throw permanent('NotPermitted', `LocalVolumeMigrate ${name} moves volume ${volumeName}, not ${volume}`);
  return found;
}

/** An activity that outlived its workflow comes when the next one has moved the volume, and would open a migration that nobody runs. */
async function requireNotMoved(deps: Deps, request: MigrateVolumeInput, known: readonly LocalVolumeMigrate[]): Promise<void> {
  const { volume, sourceNode } = request;
  const wasMoved = known.some(({ spec, status }) => status?.phase === 'Completed' && spec.sourceNode === sourceNode);
  if (!wasMoved || isOnSource(await observeVolume(deps)(request), sourceNode)) return;
  throw permanent('SourceReplicaMissing', `volume ${volume} has moved away from ${sourceNode} meanwhile`);
}

/** What was asked for becomes the record. @throws RequestWithdrawn */
async function claim(
  kube: KubeClient,
  { volume, request }: MigrateVolumeInput,
  known: readonly LocalVolumeMigrate[],
): Promise<LocalVolumeMigrate> {
  const found = known.find(({ metadata }) => metadata.uid === request?.uid);
  const isWanted = found && isRequest(found) && !found.spec.abort && found.metadata.deletionTimestamp === undefined;
  if (!isWanted) throw permanent('RequestWithdrawn', `LocalVolumeMigrate ${request?.name} asks for nothing any more`);
  const { name, resourceVersion, finalizers = [] } = found.metadata;
  const metadata = {
    resourceVersion,
    labels: labelsOf(volume, 'migrate-request'),
    finalizers: [...new Set([...finalizers, MIGRATION_FINALIZER])],
  };
  return kube.mergePatch(localVolumeMigrates, { name }, { metadata });
}

function create(kube: KubeClient, input: MigrateVolumeInput, known: readonly LocalVolumeMigrate[]): Promise<LocalVolumeMigrate> {
  const ended = known.filter(hasEnded).map(({ metadata }) => metadata.uid);
  return createAfter(kube, input, ended);
}

/** @param uids of the volume's ended migrations, and of objects whose names are in the way. */
async function createAfter(kube: KubeClient, input: MigrateVolumeInput, uids: readonly string[]): Promise<LocalVolumeMigrate> {
  const { volume, sourceNode, trigger } = input;
  const name = migrationName(volume, uids);
  const spec = { volumeName: volume, sourceNode, targetNodesSuggested: [], migrateAllVols: false, abort: false };
  const metadata = { name, labels: labelsOf(volume, trigger), finalizers: [MIGRATION_FINALIZER] };
  try {
    return await kube.create(localVolumeMigrates, { metadata, spec });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const taken = await kube.get(localVolumeMigrates, { name });
    if (taken.spec.volumeName !== volume || isRequest(taken)) return createAfter(kube, input, [...uids, taken.metadata.uid]);
    if (isOpen(taken)) return taken;
    throw new Error(`LocalVolumeMigrate ${name} was opened and has ended meanwhile: look again`, { cause: error });
  }
}

/** What HwameiStor writes at once, and what the first look at a new migration shows. */
async function begin({ kube, stores, now }: Deps, { metadata, spec }: LocalVolumeMigrate): Promise<LocalVolumeMigrate> {
  const status: MergePatch<LocalVolumeMigrateStatus> = {
    phase: 'Pending',
    follows: null,
    state: stateOfPhase('Pending'),
    message: 'Looks at the volume',
    originalReplicaNumber: stores.localVolumes.get(spec.volumeName)?.spec.replicaNumber ?? 1,
    volumes: [spec.volumeName],
    workflowId: workflowId.migrateVolume(spec.volumeName),
    phaseTimes: { Pending: now().toISOString() },
  };
  const patch = { metadata: { resourceVersion: metadata.resourceVersion }, status };
  try {
    return await kube.mergePatch(localVolumeMigrates, metadata, patch, { subresource: 'status' });
  } catch (error) {
    if (!isConflict(error)) throw error;
    // Somebody else has begun it.
    return kube.get(localVolumeMigrates, metadata);
  }
}

function recordOf({ stores, hashCheck }: Deps, { metadata, spec, status = {} }: LocalVolumeMigrate): MigrationRecord {
  const { target, pairing, sizeBytes, pool, parkedIn, sourceSha256 } = status;
  const source = status.source ?? mirrorEnd(stores, spec.sourceNode);
  return {
    ref: { name: metadata.name, uid: metadata.uid, volume: spec.volumeName },
    sourceNode: spec.sourceNode,
    phase: status.phase ?? 'Pending',
    pointOfNoReturn: status.pointOfNoReturn ?? false,
    abortedByPerson: status.abortedByPerson ?? false,
    hashCheck,
    ...(source && { source }),
    ...(target && { target }),
    ...(pairing !== undefined && { pairing }),
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(pool !== undefined && { pool }),
    ...(parkedIn && { parkedIn }),
    ...(sourceSha256 !== undefined && { sourceSha256 }),
  };
}

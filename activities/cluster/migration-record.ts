/**
 * A migration's durable state: its LocalVolumeMigrate.
 *
 * At most one of a volume's is open. The name of a new one follows from the ended ones, so of several who would open one at the same time (a second
 * controller, an activity that outlived its workflow) the API server lets one succeed; the others find the name taken and adopt what stands there.
 * It is read live wherever its state decides: a store that lags would revive a migration that has ended.
 */
import { createHash } from 'node:crypto';
import type { ClusterActivities, MigrationRecord } from '../../core/contracts/cluster-activities.ts';
import type { MigrateVolumeInput, MigrationRef } from '../../core/contracts/migration.ts';
import { Label, workflowId } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { isTerminal, stateOfPhase } from '../../core/contracts/phases.ts';
import { isOnSource } from '../../core/domain/entry.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { isAlreadyExists, isConflict } from '../../system/kube/errors.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { permanent } from './failures.ts';
import { observeVolume } from './volume-facts.ts';
import { mirrorEnd } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'now' | 'namespace' | 'hashCheck'>;

/** Names of objects have 253 characters at most; a hyphen and the suffix follow the volume. */
const VOLUME_CHARACTERS = 253 - 7;

export const openMigration =
  (deps: Deps): ClusterActivities['openMigration'] =>
  async (request) => {
    const { kube } = deps;
    const known = await migrationsOf(kube, request.volume);
    const standing = known.find((migrate) => !hasEnded(migrate));
    if (!standing) await requireNotMoved(deps, request, known);
    const open = standing ?? (await create(kube, request, known));
    return recordOf(deps, open.status?.phase === undefined ? await begin(deps, open) : open);
  };

export const findMigration =
  (deps: Deps): ClusterActivities['findMigration'] =>
  async ({ volume }) => {
    const open = (await migrationsOf(deps.kube, volume)).find((migrate) => !hasEnded(migrate));
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

export function hasEnded({ status }: LocalVolumeMigrate): boolean {
  if (status?.phase !== undefined) return isTerminal(status.phase);
  return status?.state === 'Completed' || status?.state === 'Aborted';
}

/** An activity that outlived its workflow comes when the next one has moved the volume, and would open a migration that nobody runs. */
async function requireNotMoved(deps: Deps, request: MigrateVolumeInput, ended: readonly LocalVolumeMigrate[]): Promise<void> {
  const { volume, sourceNode } = request;
  const wasMoved = ended.some(({ spec, status }) => status?.phase === 'Completed' && spec.sourceNode === sourceNode);
  if (!wasMoved || isOnSource(await observeVolume(deps)(request), sourceNode)) return;
  throw permanent('SourceReplicaMissing', `volume ${volume} has moved away from ${sourceNode} meanwhile`);
}

/** The oldest first. */
async function migrationsOf(kube: KubeClient, volume: string): Promise<readonly LocalVolumeMigrate[]> {
  const selection = isLabelValue(volume) ? { labelSelector: `${Label.volume}=${volume}` } : {};
  const found = await kube.list(localVolumeMigrates, selection);
  const age = ({ metadata }: LocalVolumeMigrate) => `${metadata.creationTimestamp} ${metadata.name}`;
  return found.filter(({ spec }) => spec.volumeName === volume).sort((a, b) => (age(a) < age(b) ? -1 : 1));
}

async function create(
  kube: KubeClient,
  { volume, sourceNode, trigger }: MigrateVolumeInput,
  ended: readonly LocalVolumeMigrate[],
): Promise<LocalVolumeMigrate> {
  const name = migrationName(
    volume,
    ended.map(({ metadata }) => metadata.uid),
  );
  const labels = { ...(isLabelValue(volume) && { [Label.volume]: volume }), [Label.trigger]: trigger };
  const spec = { volumeName: volume, sourceNode, targetNodesSuggested: [], migrateAllVols: false, abort: false };
  try {
    return await kube.create(localVolumeMigrates, { metadata: { name, labels }, spec });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const taken = await kube.get(localVolumeMigrates, { name });
    if (taken.spec.volumeName === volume && !hasEnded(taken)) return taken;
    throw new Error(`LocalVolumeMigrate ${name} was opened and has ended meanwhile: look again`, { cause: error });
  }
}

/** @param ended uids of the volume's ended migrations. */
function migrationName(volume: string, ended: readonly string[]): string {
  return `${volume.slice(0, VOLUME_CHARACTERS)}-${nameSuffix(volume, ...[...ended].sort())}`;
}

/** Six lower-case letters and digits, as HwameiStor appends to a volume's name; the same for the same parts. */
export function nameSuffix(...parts: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest();
  return digest.readBigUInt64BE().toString(36).padStart(6, '0').slice(-6);
}

/** What HwameiStor writes at once, and what the first look at a new migration shows. */
async function begin({ kube, stores, now }: Deps, { metadata, spec }: LocalVolumeMigrate): Promise<LocalVolumeMigrate> {
  const status: LocalVolumeMigrate['status'] = {
    phase: 'Pending',
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

function isLabelValue(text: string): boolean {
  return text.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text);
}

/** A step on one end of a mirror, on this node: what it is about, and what stands there. */
import { createHmac } from 'node:crypto';
import type { Mirror } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import { listMappedDevices, type MappedDevice } from '../../system/device-mapper/devices.ts';
import { type MirrorDriver, type MirrorPair, mirrorDeviceNumber, type ObservedResource } from '../../system/drbd/mirror-driver.ts';
import { DrbdModuleError, openMirrorDriver } from '../../system/drbd/module.ts';
import type { Host } from '../../system/host.ts';
import { type LogicalVolume, listLogicalVolumes } from '../../system/lvm/report.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { findMetadata, type MetadataVolume } from './metadata-volume.ts';
import { type MirrorNames, mirrorNames } from './mirror-names.ts';
import { type MetadataTags, tagValue } from './mirror-tags.ts';
import { type Requirement, requirePermission } from './permission.ts';
import { actOnVolume } from './volume-lock.ts';

export interface MirrorStep {
  readonly deps: NodeDependencies;
  readonly host: Host;
  readonly drbd: MirrorDriver;
  readonly mirror: Mirror;
  readonly role: MirrorRole;
  readonly names: MirrorNames;
}

/** Of the volume's devices, what the kernel has. */
export interface KernelState {
  /** The volume's own device; undefined: inactive, or closed. */
  readonly device?: MappedDevice;
  readonly back?: MappedDevice;
  readonly resource?: ObservedResource;
}

/** All that stands for the volume on this node. */
export interface NodeVolume extends KernelState {
  readonly logicalVolume?: LogicalVolume;
  /** All of the volume group, itself among them. */
  readonly volumes: readonly LogicalVolume[];
  readonly hasSnapshots: boolean;
  readonly metadata?: MetadataVolume;
}

/** Runs a step that acts: under the volume's lock, where it is permitted and no later attempt has acted. @throws NotPermitted, StaleActivity */
export async function act<T>(
  deps: NodeDependencies,
  mirror: Mirror,
  requirement: Requirement,
  task: (step: MirrorStep) => Promise<T>,
): Promise<T> {
  requireOwnEnd(deps, mirror, requirement.role);
  return actOnVolume(deps, mirror.migration.volume, (host) => openStep({ ...deps, host }, mirror, requirement), task);
}

/** Prepares a step, where it is permitted. By itself for one that reads only, without the lock. @throws NotPermitted */
export async function openStep(deps: NodeDependencies, mirror: Mirror, requirement: Requirement): Promise<MirrorStep> {
  const { role } = requirement;
  await requirePermission(deps, mirror, requirement);
  requireOwnEnd(deps, mirror, role);
  return describeStep(deps, mirror, role);
}

/** For who has permission. */
export async function describeStep(deps: NodeDependencies, mirror: Mirror, role: MirrorRole): Promise<MirrorStep> {
  const { host } = deps;
  return { deps, host, drbd: await openDriver(deps), mirror, role, names: mirrorNames(mirror.pool, mirror.migration.volume) };
}

/** @throws InvalidArgument */
function requireOwnEnd({ nodeName }: NodeDependencies, mirror: Mirror, role: MirrorRole): void {
  const { node } = mirror[role];
  if (node !== nodeName) throw failure('InvalidArgument', `the mirror's ${role} is ${node}, this is ${nodeName}`);
}

/** @throws DrbdNotSupported */
export async function openDriver({ host, syncSettings }: Pick<NodeDependencies, 'host' | 'syncSettings'>): Promise<MirrorDriver> {
  try {
    return await openMirrorDriver(host, syncSettings);
  } catch (error) {
    throw error instanceof DrbdModuleError ? failure('DrbdNotSupported', error.message, error) : error;
  }
}

export async function observeKernel({ host, drbd, names }: Pick<MirrorStep, 'host' | 'drbd' | 'names'>): Promise<KernelState> {
  const [devices, resources] = await Promise.all([listMappedDevices(host), drbd.observe()]);
  const resource = resources.find((candidate) => candidate.resource === names.resource);
  const [device, back] = [devices.get(names.device), devices.get(names.backDevice)];
  return { ...(device && { device }), ...(back && { back }), ...(resource && { resource }) };
}

/** @throws LogicalVolumeConflict where somebody else's volume has the metadata volume's name. */
export async function observeNodeVolume(
  step: Pick<MirrorStep, 'host' | 'deps' | 'drbd' | 'names'>,
  pool: string,
  volume: string,
): Promise<NodeVolume> {
  const [volumes, kernel] = await Promise.all([listLogicalVolumes(step.host, pool), observeKernel(step)]);
  const logicalVolume = volumes.find(({ name }) => name === volume);
  const metadata = await findMetadata(step, volumes);
  return {
    ...kernel,
    volumes,
    ...(logicalVolume && { logicalVolume }),
    hasSnapshots: volumes.some(({ origin }) => origin === volume),
    ...(metadata && { metadata }),
  };
}

export const lookAround = (step: MirrorStep): Promise<NodeVolume> =>
  observeNodeVolume(step, step.mirror.pool, step.mirror.migration.volume);

/** The metadata volume of this very migration and pairing. @throws MirrorNotReady */
export function requireMetadata({ mirror, names }: MirrorStep, { metadata }: NodeVolume): MetadataVolume {
  const { migration, pairing } = mirror;
  if (metadata?.tags.migrationUid === migration.uid && metadata.tags.pairing === pairing) return metadata;
  const found = metadata ? `is of migration ${metadata.tags.migrationUid}, pairing ${metadata.tags.pairing}` : 'does not exist';
  throw failure('MirrorNotReady', `metadata volume ${names.metadataVolume} for pairing ${pairing} of ${migration.uid} ${found}`);
}

/** @throws MirrorNotReady where this end was never told where the other one listens. */
export function pairOf({ mirror, role, names }: MirrorStep, { minor, port, peerPort }: MetadataTags): MirrorPair {
  if (peerPort === undefined) throw failure('MirrorNotReady', `the mirror of ${mirror.migration.volume} was never set up on this node`);
  const peer = role === 'source' ? mirror.target : mirror.source;
  return {
    resource: names.resource,
    minor,
    role,
    local: { address: mirror[role].storageAddress, port },
    peer: { address: peer.storageAddress, port: peerPort },
  };
}

/** What lets the other end in. It is never in an argument or result of an activity: both ends derive it from the key that all agents share. */
export async function sharedSecret({ deps, mirror }: MirrorStep): Promise<string> {
  const identity = `${mirror.migration.uid}/${mirror.pairing}`;
  // 128 bits; DRBD takes at most 63 characters.
  return createHmac('sha256', await deps.readClusterKey())
    .update(identity)
    .digest('hex')
    .slice(0, 32);
}

/** DRBD has a disk beneath it. */
export const isAttached = (resource: ObservedResource | undefined): boolean =>
  resource?.state !== undefined && resource.state.disk !== 'Diskless';

/** The device's only line leads to DRBD's device of this minor. */
export function leadsThroughMirror(device: MappedDevice, minor: number | undefined): boolean {
  const [line, ...others] = device.table;
  return minor !== undefined && others.length === 0 && line?.target === 'linear' && line.args === `${mirrorDeviceNumber(minor)} 0`;
}

/** DRBD's words for a disk that it had and has no more. */
const LOST_DISKS: readonly string[] = ['Failed', 'Detaching', 'Diskless'];

/**
 * For the source, before anything is led back to its disk or copied from it. DRBD gives a disk up at its first I/O error (on-io-error=detach is the
 * default) and serves the volume's users from the other end, if that is whole: what they have written since, this disk lacks. @throws SourceDiskLost
 */
export function requireOwnDisk({ device, resource }: KernelState): void {
  const { state, minor } = resource ?? {};
  if (!device || !state || !leadsThroughMirror(device, minor)) return;
  if (!LOST_DISKS.includes(state.disk) || state.peerDisk === 'Inconsistent') return;
  const message = `DRBD has given up the disk beneath ${device.name} after an error (see the kernel's log): what was written since is on the other node alone`;
  throw failure('SourceDiskLost', message);
}

/** uid of the migration that passed its point of no return with this volume. */
export const cutOverBy = ({ logicalVolume }: NodeVolume): string | undefined => logicalVolume && tagValue(logicalVolume.tags, Tag.cutOver);

/** @throws PointOfNoReturnPassed */
export function requireBeforeCutOver(found: NodeVolume): void {
  const uid = cutOverBy(found);
  if (uid) throw failure('PointOfNoReturnPassed', `volume ${found.logicalVolume?.name} was cut over by migration ${uid}`);
}

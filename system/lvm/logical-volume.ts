/** Changes to logical volumes. Names and tags must have been validated by the caller: LVM's selection language has quotes, but no escapes. */
import { CommandError } from '../command.ts';
import type { Host } from '../host.ts';

export interface NewLogicalVolume {
  readonly volumeGroup: string;
  readonly name: string;
  /** Rounded up to whole extents by LVM. */
  readonly sizeBytes: number;
  readonly tags: readonly string[];
}

export interface NewThinVolume extends NewLogicalVolume {
  /** Of the same volume group. */
  readonly thinPool: string;
}

/** The volume group has fewer free extents than the volume needs, or the thin pool takes no more volumes. */
export class VolumeGroupFullError extends Error {
  override readonly name = 'VolumeGroupFullError';
}

/** LVM's exit code for a command it understood and could not do: a name taken, no space, a device in use. */
const LVM_REFUSED = 5;

/**
 * Creates a thick logical volume with its tags in one step, so that a volume without tags is never left behind. Old signatures in its first
 * blocks are wiped. @throws {VolumeGroupFullError}
 */
export async function createLogicalVolume(host: Host, wanted: NewLogicalVolume): Promise<void> {
  const { volumeGroup, name, sizeBytes } = wanted;
  const full = `volume group ${volumeGroup} has no room for ${name} (${sizeBytes} bytes)`;
  await create(host, wanted, ['-Wy', '-Zy', '-L', `${sizeBytes}b`], { pattern: /insufficient free (space|extents)/i, message: full });
}

/** Creates a thin logical volume with its tags in one step. It reads as zeros. @throws {VolumeGroupFullError} */
export async function createThinVolume(host: Host, { thinPool, ...wanted }: NewThinVolume): Promise<void> {
  const full = `thin pool ${wanted.volumeGroup}/${thinPool} takes no more volumes`;
  const args = ['-V', `${wanted.sizeBytes}b`, '--thinpool', thinPool];
  // What LVM says where thin_pool_autoextend_threshold is set and passed.
  await create(host, wanted, args, { pattern: /new volumes are not allowed/i, message: full });
}

/** @param whenFull how LVM says that there is no room, and what is said of it then. */
async function create(
  host: Host,
  { volumeGroup, name, tags }: NewLogicalVolume,
  kind: readonly string[],
  whenFull: { readonly pattern: RegExp; readonly message: string },
): Promise<void> {
  try {
    await host.run('lvcreate', ['-y', ...kind, '-n', name, ...tags.flatMap((tag) => ['--addtag', tag]), volumeGroup]);
  } catch (error) {
    const isFull = error instanceof CommandError && error.exitCode === LVM_REFUSED && whenFull.pattern.test(error.stderr);
    throw isFull ? new VolumeGroupFullError(whenFull.message, { cause: error }) : error;
  }
}

/** Which logical volume to remove: by its uuid, so that it is the one that was looked at, and by a tag, so that it is one of ours. */
export interface RemovableLogicalVolume {
  readonly volumeGroup: string;
  readonly uuid: string;
  readonly tag: string;
}

/** Where nothing matches, nothing happens. Refused by LVM while anything has the volume open. */
export async function removeLogicalVolume(host: Host, { volumeGroup, uuid, tag }: RemovableLogicalVolume): Promise<void> {
  await host.run('lvremove', ['-y', '--select', `lv_uuid="${uuid}" && lv_tags={"${tag}"}`, volumeGroup]);
}

export interface LogicalVolumeChange {
  readonly addTags?: readonly string[];
  readonly removeTags?: readonly string[];
  /** Keeps `vgchange -aay`, with which systems boot, from activating the volume; `-ay` activates it all the same. */
  readonly autoactivation?: false;
}

/** All in one step of LVM's metadata. A tag that is there already, or not there, is no error. Leaves the volume's device alone. */
export async function changeLogicalVolume(
  host: Host,
  volume: { readonly volumeGroup: string; readonly name: string },
  { addTags = [], removeTags = [], autoactivation }: LogicalVolumeChange,
): Promise<void> {
  const args = [...removeTags.flatMap((tag) => ['--deltag', tag]), ...addTags.flatMap((tag) => ['--addtag', tag])];
  if (autoactivation === false) args.push('--setautoactivation', 'n');
  if (args.length > 0) await host.run('lvchange', [...args, `${volume.volumeGroup}/${volume.name}`]);
}

/** Gives an inactive volume its plain device back; an active one stays as it is, also with a mirror in its device. */
export async function activateLogicalVolume(host: Host, volume: { readonly volumeGroup: string; readonly name: string }): Promise<void> {
  await host.run('lvchange', ['-ay', `${volume.volumeGroup}/${volume.name}`]);
}

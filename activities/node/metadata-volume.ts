/**
 * Where one end of a mirror keeps DRBD's metadata, with the tags that say what the mirror is: a small logical volume beside the data, or a file where the
 * volume group has no extent left for it. The tags are the same, so that whoever reads or changes them need not know which it is.
 */
import { Tag } from '../../core/contracts/names.ts';
import type { Host } from '../../system/host.ts';
import {
  changeLogicalVolume,
  createLogicalVolume,
  type LogicalVolumeChange,
  removeLogicalVolume,
  VolumeGroupFullError,
} from '../../system/lvm/logical-volume.ts';
import { type LogicalVolume, listLogicalVolumes } from '../../system/lvm/report.ts';
import { failure } from './failure.ts';
import {
  listMetadataFiles,
  type MetadataFile,
  openMetadataFile,
  readFileTags,
  removeMetadataFile,
  writeFileTags,
} from './metadata-file.ts';
import type { MirrorNames } from './mirror-names.ts';
import { type MetadataTags, parseMetadataTags, tag } from './mirror-tags.ts';

export interface MetadataVolume {
  readonly tags: MetadataTags;
  /** As they stand. */
  readonly allTags: readonly string[];
  readonly place: LogicalVolume | MetadataFile;
}

/** Of a step, what its metadata is found by. */
export interface MetadataSite {
  readonly host: Host;
  readonly deps: { readonly stateDirectory: string };
  readonly names: MirrorNames;
}

/** @param volumes all of the pool. @throws LogicalVolumeConflict where somebody else's volume has the metadata volume's name. */
export async function findMetadata(site: MetadataSite, volumes: readonly LogicalVolume[]): Promise<MetadataVolume | undefined> {
  const { metadataVolume } = site.names;
  const logicalVolume = volumes.find(({ name }) => name === metadataVolume);
  const allTags = logicalVolume?.tags ?? (await readFileTags(fileOf(site)));
  if (!allTags) return undefined;
  const tags = parseMetadataTags(allTags);
  const kind = logicalVolume ? 'logical volume' : 'file';
  if (!tags) throw failure('LogicalVolumeConflict', `${kind} ${metadataVolume} exists without the tags of a metadata volume`);
  return { tags, allTags, place: logicalVolume ?? fileOf(site) };
}

export interface Tagged {
  /** Of a logical volume with its volume group, or of a file. */
  readonly name: string;
  readonly tags: readonly string[];
}

/** Everything on this node that can carry tags: all logical volumes, and the files of metadata. */
export async function listTagged(host: Host, stateDirectory: string): Promise<Tagged[]> {
  const volumes = await listLogicalVolumes(host);
  const names = await listMetadataFiles(stateDirectory);
  const files = await Promise.all(names.map(async (name) => ({ name, tags: (await readFileTags({ stateDirectory, name })) ?? [] })));
  return [...volumes.map(({ volumeGroup, name, tags }) => ({ name: `${volumeGroup}/${name}`, tags })), ...files];
}

/** With its tags in one step, so that nothing without tags is ever left behind. */
export async function createMetadata(
  site: MetadataSite,
  { volumeGroup, sizeBytes, tags }: { readonly volumeGroup: string; readonly sizeBytes: number; readonly tags: readonly string[] },
): Promise<void> {
  try {
    await createLogicalVolume(site.host, { volumeGroup, name: site.names.metadataVolume, sizeBytes, tags });
  } catch (error) {
    if (!(error instanceof VolumeGroupFullError)) throw error;
    await writeFileTags(fileOf(site), tags);
  }
}

/** As {@link changeLogicalVolume}. */
export async function changeMetadata(
  { host }: MetadataSite,
  { place }: MetadataVolume,
  { addTags = [], removeTags = [] }: Pick<LogicalVolumeChange, 'addTags' | 'removeTags'>,
): Promise<void> {
  if (isLogicalVolume(place)) return changeLogicalVolume(host, place, { addTags, removeTags });
  const kept = ((await readFileTags(place)) ?? []).filter((candidate) => !removeTags.includes(candidate));
  await writeFileTags(place, [...new Set([...kept, ...addTags])]);
}

/** The path of the device that DRBD takes. @param sizeBytes that it should have. @throws PoolFull */
export async function openMetadata({ host, names }: MetadataSite, { place, tags }: MetadataVolume, sizeBytes: number): Promise<string> {
  return isLogicalVolume(place) ? names.metadataPath : openMetadataFile(host, place, sizeBytes, !tags.ready);
}

export async function removeMetadata({ host }: MetadataSite, { place, tags }: MetadataVolume): Promise<void> {
  if (!isLogicalVolume(place)) return removeMetadataFile(host, place);
  const { volumeGroup, uuid } = place;
  await removeLogicalVolume(host, { volumeGroup, uuid, tag: tag(Tag.migration, tags.migrationUid) });
}

function fileOf({ deps, names }: MetadataSite): MetadataFile {
  return { stateDirectory: deps.stateDirectory, name: names.metadataVolume };
}

const isLogicalVolume = (place: LogicalVolume | MetadataFile): place is LogicalVolume => 'uuid' in place;

/** Tags on logical volumes, read and written: the state of a mirror that outlives processes, reboots and Temporal. */
import type { WriteCounters } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';

/** What a metadata volume says of its mirror. */
export interface MetadataTags {
  readonly migrationUid: string;
  readonly pairing: number;
  readonly port: number;
  readonly minor: number;
  /** DRBD's metadata was written. */
  readonly ready: boolean;
  readonly peerPort?: number;
  /** Counters of the volume's device and of the mirror, on the source, when the mirror was inserted. */
  readonly writeBase?: WriteBase;
  /** Counters of the volume's device when it was closed: they went with it. */
  readonly volumeAtClose?: WriteCounters;
}

export interface WriteBase {
  readonly volume: WriteCounters;
  readonly mirror: WriteCounters;
}

export function tag(key: string, value: string | number): string {
  return `${key}=${value}`;
}

/** Every tag with this key, as it stands. */
export function tagsOf(tags: readonly string[], key: string): string[] {
  return tags.filter((candidate) => candidate.startsWith(`${key}=`));
}

/** The value of the tag with this key. */
export function tagValue(tags: readonly string[], key: string): string | undefined {
  return tagsOf(tags, key)[0]?.slice(key.length + 1);
}

/** @returns undefined where a tag is missing or is not what this program writes: the volume is not one of its metadata volumes. */
export function parseMetadataTags(tags: readonly string[]): MetadataTags | undefined {
  const migrationUid = tagValue(tags, Tag.migration);
  const [pairing, port, minor] = [Tag.pairing, Tag.port, Tag.minor].map((key) => Number(tagValue(tags, key) ?? Number.NaN));
  if (migrationUid === undefined || ![pairing, port, minor].every(Number.isInteger)) return undefined;
  const peerPort = tagValue(tags, Tag.peerPort);
  const base = parseCounters(tagValue(tags, Tag.writeBase), 4);
  const close = parseCounters(tagValue(tags, Tag.volumeAtClose), 2);
  return {
    migrationUid,
    pairing: pairing!,
    port: port!,
    minor: minor!,
    ready: tagValue(tags, Tag.metadataReady) !== undefined,
    ...(peerPort !== undefined && { peerPort: Number(peerPort) }),
    ...(base && { writeBase: { volume: counters(base[0]!, base[1]!), mirror: counters(base[2]!, base[3]!) } }),
    ...(close && { volumeAtClose: counters(close[0]!, close[1]!) }),
  };
}

export function writeBaseTag({ volume, mirror }: WriteBase): string {
  return tag(Tag.writeBase, [volume, mirror].flatMap((each) => [each.writtenSectors, each.discardedSectors]).join(':'));
}

export function volumeAtCloseTag(volume: WriteCounters): string {
  return tag(Tag.volumeAtClose, `${volume.writtenSectors}:${volume.discardedSectors}`);
}

const counters = (writtenSectors: number, discardedSectors: number): WriteCounters => ({ writtenSectors, discardedSectors });

function parseCounters(text: string | undefined, count: number): number[] | undefined {
  const numbers = text?.split(':').map(Number);
  return numbers?.length === count && numbers.every(Number.isInteger) ? numbers : undefined;
}

/** What the kernel says of block devices in /sys. Source of the fields: the kernel's Documentation/block/stat.rst. */
import type { Host } from './host.ts';

export const SECTOR_BYTES = 512;

/** `major:minor`, the kernel's number of a block device. */
export type DeviceNumber = `${number}:${number}`;

/** Since the device appeared. Two stacked devices whose counters grew alike have seen the same writes. */
export interface BlockDeviceStatistics {
  readonly writtenSectors: number;
  readonly discardedSectors: number;
}

const WRITTEN_SECTORS_FIELD = 7;
const DISCARDED_SECTORS_FIELD = 14;

/** @throws where the text is not that of a `stat` file of a kernel since 4.18, which counts discards. */
export function parseBlockStatistics(text: string): BlockDeviceStatistics {
  const fields = text.trim().split(/\s+/).map(Number);
  const writtenSectors = fields[WRITTEN_SECTORS_FIELD - 1];
  const discardedSectors = fields[DISCARDED_SECTORS_FIELD - 1];
  if (writtenSectors === undefined || discardedSectors === undefined || fields.some(Number.isNaN)) {
    throw new Error(`not the statistics of a block device: ${text.trim()}`);
  }
  return { writtenSectors, discardedSectors };
}

export const statisticsPath = (device: DeviceNumber): string => attributePath(device, 'stat');

export async function readBlockStatistics(host: Host, device: DeviceNumber): Promise<BlockDeviceStatistics> {
  return parseBlockStatistics(await readAttribute(host, device, 'stat'));
}

/** Readable also where the device itself cannot be opened, as a Secondary DRBD device. */
export async function readDeviceSectors(host: Host, device: DeviceNumber): Promise<number> {
  return Number(await readAttribute(host, device, 'size'));
}

export async function readLogicalBlockSizeBytes(host: Host, device: DeviceNumber): Promise<number> {
  return Number(await readAttribute(host, device, 'queue/logical_block_size'));
}

const DISCARD_LIMIT = 'queue/discard_max_bytes';

/** A limit that is lower already stays. Forgotten when the device's table is loaded anew. @returns false where the device takes no discards at all. */
export async function limitDiscards(host: Host, device: DeviceNumber, bytes: number): Promise<boolean> {
  if (Number(await readAttribute(host, device, DISCARD_LIMIT)) === 0) return false;
  await host.writeText(attributePath(device, DISCARD_LIMIT), String(bytes));
  return true;
}

async function readAttribute(host: Host, device: DeviceNumber, attribute: string): Promise<string> {
  const text = await host.readText(attributePath(device, attribute));
  if (text === undefined) throw new Error(`there is no block device ${device}`);
  return text.trim();
}

const attributePath = (device: DeviceNumber, attribute: string): string => `/sys/dev/block/${device}/${attribute}`;

/** The device mapper's devices as they are, and LVM's names for them. Source of the formats: dmsetup(8). */
import type { DeviceNumber } from '../block-device.ts';
import type { Host } from '../host.ts';

/** One line of a table: `start length type arguments`, in sectors. */
export interface TableLine {
  readonly startSector: number;
  readonly sectors: number;
  /** `linear`, `striped`, `thin`, `snapshot-origin`, … */
  readonly target: string;
  readonly args: string;
}

export interface MappedDevice {
  readonly name: string;
  readonly number: DeviceNumber;
  /** How many have it open: mounts, processes, devices above. */
  readonly openCount: number;
  readonly suspended: boolean;
  /** A second table was loaded and not yet resumed. */
  readonly inactiveTable: boolean;
  readonly uuid: string;
  readonly table: readonly TableLine[];
}

/** Somebody has it open: nobody has one that does not exist. */
export const isOpen = (device: MappedDevice | undefined): boolean => device !== undefined && device.openCount > 0;

/** The device of a logical volume: `-` separates the names, so within them it is doubled. */
export function logicalVolumeDeviceName(volumeGroup: string, logicalVolume: string): string {
  return [volumeGroup, logicalVolume].map((name) => name.replaceAll('-', '--')).join('-');
}

/** Path of a device's node. */
export const devicePath = (name: string): string => `/dev/mapper/${name}`;

const INFO_FIELDS = 'name,major,minor,open,segments,suspended,tables_loaded,uuid';

/** All devices of the node, by name. */
export async function listMappedDevices(host: Host): Promise<ReadonlyMap<string, MappedDevice>> {
  const [info, tables] = await Promise.all([
    host.run('dmsetup', ['info', '-c', '--noheadings', '--separator', '|', '-o', INFO_FIELDS]),
    host.run('dmsetup', ['table']),
  ]);
  return parseMappedDevices(info.stdout, tables.stdout);
}

/** A device without a table, as one whose creation was broken off, has an empty one. */
export function parseMappedDevices(info: string, tables: string): ReadonlyMap<string, MappedDevice> {
  const tableOf = parseTables(tables);
  const devices = new Map<string, MappedDevice>();
  for (const line of linesOf(info)) {
    const [name, major, minor, open, , suspended, tablesLoaded, uuid] = line.split('|');
    if (!name || uuid === undefined) throw new Error(`not a line of dmsetup info: ${line}`);
    devices.set(name, {
      name,
      number: `${Number(major)}:${Number(minor)}`,
      openCount: Number(open),
      suspended: suspended === 'Suspended',
      inactiveTable: tablesLoaded === 'Both' || tablesLoaded === 'Inactive',
      uuid,
      table: tableOf.get(name) ?? [],
    });
  }
  return devices;
}

/** One line of a table without its device's name. */
export function parseTableLine(text: string): TableLine {
  const match = /^(\d+) (\d+) (\S+)(?: (.*))?$/.exec(text.trim());
  if (!match) throw new Error(`not a line of a device mapper table: ${text}`);
  return { startSector: Number(match[1]), sectors: Number(match[2]), target: match[3]!, args: match[4] ?? '' };
}

export const formatTable = (table: readonly TableLine[]): string =>
  table.map((line) => `${line.startSector} ${line.sectors} ${line.target} ${line.args}`.trimEnd()).join('\n');

export const sectorsOf = (table: readonly TableLine[]): number => table.reduce((sum, { sectors }) => sum + sectors, 0);

/** Lines `name: table line`. */
function parseTables(text: string): Map<string, TableLine[]> {
  const tables = new Map<string, TableLine[]>();
  for (const line of linesOf(text)) {
    const separator = line.indexOf(':');
    if (separator < 0) throw new Error(`not a line of dmsetup table: ${line}`);
    const table = tables.get(line.slice(0, separator)) ?? [];
    const rest = line.slice(separator + 1).trim();
    tables.set(line.slice(0, separator), rest === '' ? table : [...table, parseTableLine(rest)]);
  }
  return tables;
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '' && line.trim() !== 'No devices found');

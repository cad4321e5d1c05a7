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

/** All devices of the node, by name. */
export async function listMappedDevices(host: Host): Promise<ReadonlyMap<string, MappedDevice>> {
  return parseMappedDevices((await host.run('dmsetup', ['table', '-v'])).stdout);
}

/**
 * For each device lines `key: value`, and after an empty one those of its table. A device without a table, as one whose creation was broken off, has
 * an empty one; a device without a uuid does not name it.
 */
export function parseMappedDevices(text: string): ReadonlyMap<string, MappedDevice> {
  if (['', 'No devices found'].includes(text.trim())) return new Map();
  const devices = text.split(/^(?=Name:)/m).map(parseMappedDevice);
  return new Map(devices.map((device) => [device.name, device]));
}

function parseMappedDevice(text: string): MappedDevice {
  const [head = '', ...rest] = text.trimEnd().split('\n\n');
  const facts = new Map(head.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
  const fact = (key: string): string => {
    const value = facts.get(key);
    if (value === undefined) throw new Error(`dmsetup says nothing of ${key}: ${head}`);
    return value;
  };
  return {
    name: fact('Name'),
    number: deviceNumber(fact('Major, minor')),
    openCount: Number(fact('Open count')),
    suspended: fact('State').startsWith('SUSPENDED'),
    inactiveTable: fact('Tables present').includes('INACTIVE'),
    uuid: facts.get('UUID') ?? '',
    table: linesOf(rest.join('\n')).map(parseTableLine),
  };
}

function deviceNumber(text: string): DeviceNumber {
  const [major, minor] = text.split(',').map(Number);
  return `${major!}:${minor!}`;
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

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

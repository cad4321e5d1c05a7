/**
 * /proc/drbd of DRBD 8.4: the version, and each device's states, counters and position in a sync or a verify. Reading it starts no program, so a
 * wait may look as often as it likes. Source of the format: drbd_proc.c of kernel 6.1. DRBD 9 keeps the version line and lists no devices.
 */

export interface ProcDrbd {
  /** As the module says it: `8.4.11`. */
  readonly version: string;
  readonly devices: ReadonlyMap<number, ProcDrbdDevice>;
}

export interface ProcDrbdDevice {
  readonly minor: number;
  /** `SyncSource`, `VerifyS`, `StandAlone`, `Unconfigured`, … */
  readonly connectionState: string;
  readonly role: string;
  readonly disk: string;
  readonly peerDisk: string;
  /** Read from the backing device since attach. */
  readonly readKib: number;
  readonly outOfSyncKib: number;
  /** While a sync or a verify runs. */
  readonly position?: SyncPosition;
}

export interface SyncPosition {
  readonly leftKib: number;
  readonly totalKib: number;
  /** Over the last seconds; 0 while it stalls. */
  readonly kibPerSecond: number;
}

const DEVICE_LINE = /^\s*(\d+): cs:(\S+)(.*)$/;
/** An unconfigured device prints none of it. */
const STATES = /^ ro:(\S+)\/\S+ ds:(\S+)\/(\S+) /;

/** @throws where there is no version line. */
export function parseProcDrbd(text: string): ProcDrbd {
  const version = /^version: (\d+\.\d+\.\d+)/m.exec(text)?.[1];
  if (!version) throw new Error(`/proc/drbd without a version: ${text.slice(0, 200)}`);
  const devices = paragraphsOf(text).map(parseDevice);
  return { version, devices: new Map(devices.map((device) => [device.minor, device])) };
}

/** The lines of each device, from the one that begins with its minor. */
function paragraphsOf(text: string): string[][] {
  const paragraphs: string[][] = [];
  for (const line of text.split('\n')) {
    if (DEVICE_LINE.test(line)) paragraphs.push([line]);
    else paragraphs.at(-1)?.push(line);
  }
  return paragraphs;
}

function parseDevice(lines: readonly string[]): ProcDrbdDevice {
  const [, minor, connectionState, rest] = DEVICE_LINE.exec(lines[0]!)!;
  const [, role, disk, peerDisk] = STATES.exec(rest!) ?? [];
  const details = lines.slice(1).join('\n');
  const counter = (name: string) => Number(new RegExp(` ${name}:(\\d+)`).exec(details)?.[1] ?? 0);
  const position = parsePosition(details);
  return {
    minor: Number(minor),
    connectionState: connectionState!,
    role: role ?? 'Unknown',
    disk: disk ?? 'Diskless',
    peerDisk: peerDisk ?? 'DUnknown',
    readKib: counter('dr'),
    outOfSyncKib: counter('oos'),
    ...(position && { position }),
  };
}

function parsePosition(details: string): SyncPosition | undefined {
  const match = /(?:sync'ed|verified):\s+[\d.]+%\s+\((\d+)\/(\d+)\)([KM])/.exec(details);
  if (!match) return undefined;
  const unitKib = match[3] === 'M' ? 1024 : 1;
  const speed = /speed: ([\d,]+)/.exec(details)?.[1] ?? '0';
  return { leftKib: Number(match[1]) * unitKib, totalKib: Number(match[2]) * unitKib, kibPerSecond: Number(speed.replaceAll(',', '')) };
}

/**
 * /proc/drbd of DRBD 8.4: the version, and for each device the one thing no other interface of 8.4 tells, how far a verify has come.
 * Source of the format: drbd_proc.c of kernel 6.1. (DRBD 9 keeps the version lines and lists no devices.)
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
  /** Six characters, dashes where nothing is special; a `u` in the fourth place: the resync is paused by us. */
  readonly flags: string;
  readonly outOfSyncKib?: number;
  /** While a sync or a verify runs. */
  readonly progress?: SyncPosition;
}

export interface SyncPosition {
  readonly kind: 'sync' | 'verify';
  readonly leftKib: number;
  readonly totalKib: number;
  /** Over the last seconds; absent while it stalls. */
  readonly kibPerSecond?: number;
}

const DEVICE_LINE = /^\s*(\d+): cs:(\S+)(.*)$/;
/** Flags end the line; a StandAlone device prints no protocol letter before them. */
const FLAGS = /\s([rs][-a-z]{5})\s*$/;

/** @throws where there is no version line. */
export function parseProcDrbd(text: string): ProcDrbd {
  const version = /^version: (\d+\.\d+\.\d+)/m.exec(text)?.[1];
  if (!version) throw new Error(`/proc/drbd without a version: ${text.slice(0, 200)}`);
  const devices = new Map<number, ProcDrbdDevice>();
  for (const paragraph of paragraphsOf(text)) {
    const device = parseDevice(paragraph);
    devices.set(device.minor, device);
  }
  return { version, devices };
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
  const details = lines.slice(1).join('\n');
  const outOfSync = / oos:(\d+)/.exec(details)?.[1];
  const progress = parsePosition(details);
  return {
    minor: Number(minor),
    connectionState: connectionState!,
    flags: FLAGS.exec(rest!)?.[1] ?? '',
    ...(outOfSync !== undefined && { outOfSyncKib: Number(outOfSync) }),
    ...(progress && { progress }),
  };
}

function parsePosition(details: string): SyncPosition | undefined {
  const match = /(sync'ed|verified):\s+[\d.]+%\s+\((\d+)\/(\d+)\)([KM])/.exec(details);
  if (!match) return undefined;
  const unitKib = match[4] === 'M' ? 1024 : 1;
  const speed = /speed: ([\d,]+)/.exec(details)?.[1];
  return {
    kind: match[1] === 'verified' ? 'verify' : 'sync',
    leftKib: Number(match[2]) * unitKib,
    totalKib: Number(match[3]) * unitKib,
    ...(speed !== undefined && { kibPerSecond: Number(speed.replaceAll(',', '')) }),
  };
}

/**
 * `drbdsetup events2 --now --statistics`: all resources at one instant, one line for each object, each line `exists KIND key:value …`.
 * Sizes and counters are in KiB. Sources: drbdsetup-9.0(8), and recorded output.
 */

/** Keys and values of one line, as printed. */
type EventLine = ReadonlyMap<string, string>;

export interface Events2Resource {
  readonly name: string;
  readonly role: string;
  /** Our mirrors have one. */
  readonly device?: Events2Device;
  /** Our mirrors have one; absent before the first connect. */
  readonly connection?: Events2Connection;
}

export interface Events2Device {
  readonly minor: number;
  readonly disk: string;
  readonly sizeKib: number;
  readonly readKib: number;
  readonly writtenKib: number;
}

export interface Events2Connection {
  readonly state: string;
  readonly peerRole: string;
  readonly replication: string;
  readonly peerDisk: string;
  readonly resyncSuspended: string;
  readonly outOfSyncKib: number;
}

/** @throws where a line is not one of events2, or the closing `exists -` is missing: the answer was cut off. */
export function parseEvents2(text: string): Events2Resource[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.at(-1)?.trim() !== 'exists -') throw new Error(`events2 was cut off: ${lines.at(-1) ?? 'no output'}`);
  const objects = lines.slice(0, -1).map(parseLine);
  const ofKind = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.fields.get('name') === name)?.fields;
  return objects
    .filter(({ kind }) => kind === 'resource')
    .map(({ fields }) => {
      const name = fields.get('name') ?? '';
      const device = ofKind('device', name);
      const connection = ofKind('connection', name);
      return {
        name,
        role: fields.get('role') ?? 'Unknown',
        ...(device && { device: toDevice(device) }),
        ...(connection && { connection: toConnection(connection, ofKind('peer-device', name)) }),
      };
    });
}

function parseLine(line: string): { kind: string; fields: EventLine } {
  const [event, kind, ...pairs] = line.trim().split(/\s+/);
  if (event !== 'exists' || !kind) throw new Error(`not a line of events2 --now: ${line}`);
  // The value may hold colons itself (addresses): only the first one separates.
  return { kind, fields: new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)])) };
}

function toDevice(fields: EventLine): Events2Device {
  return {
    minor: Number(fields.get('minor')),
    disk: fields.get('disk') ?? 'Diskless',
    sizeKib: Number(fields.get('size') ?? 0),
    readKib: Number(fields.get('read') ?? 0),
    writtenKib: Number(fields.get('written') ?? 0),
  };
}

function toConnection(connection: EventLine, peerDevice: EventLine | undefined): Events2Connection {
  return {
    state: connection.get('connection') ?? 'StandAlone',
    peerRole: connection.get('role') ?? 'Unknown',
    replication: peerDevice?.get('replication') ?? 'Off',
    peerDisk: peerDevice?.get('peer-disk') ?? 'DUnknown',
    resyncSuspended: peerDevice?.get('resync-suspended') ?? 'no',
    outOfSyncKib: Number(peerDevice?.get('out-of-sync') ?? 0),
  };
}

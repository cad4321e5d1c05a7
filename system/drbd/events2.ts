/**
 * `drbdsetup events2 --now`: all resources at one instant, one line for each object, each line `exists KIND key:value …`. Asked for what nothing else
 * says: of 8.4, which resource a minor belongs to; of 9, by which addresses a peer is reached. Sources: drbdsetup-8.4(8), drbdsetup-9.0(8), recorded
 * output.
 */

export interface ResourceMinor {
  readonly resource: string;
  /** undefined: the resource has no device yet. */
  readonly minor?: number;
}

/** A connection of DRBD 9, whatever its state. */
export interface ResourcePeer {
  readonly resource: string;
  readonly nodeId: number;
  /** None where it was not told yet by which addresses to connect. */
  readonly paths: readonly PeerPath[];
}

/** Both as drbdsetup has them in its arguments: `ipv4:10.77.0.1:7001`. */
export interface PeerPath {
  readonly local: string;
  readonly peer: string;
}

/** Resources with their first device; ours have one. @throws where the answer was cut off. */
export function parseEvents2(text: string): ResourceMinor[] {
  const objects = parseObjects(text);
  const minors = new Map(
    objects.filter(({ kind }) => kind === 'device').map(({ fields }) => [fields.get('name'), Number(fields.get('minor'))]),
  );
  return objects
    .filter(({ kind }) => kind === 'resource')
    .map(({ fields }) => {
      const minor = minors.get(fields.get('name'));
      return { resource: fields.get('name') ?? '', ...(minor !== undefined && { minor }) };
    });
}

/** @throws where the answer was cut off. */
export function parsePeers(text: string): ResourcePeer[] {
  const objects = parseObjects(text);
  const key = (fields: ReadonlyMap<string, string>) => `${fields.get('name')} ${fields.get('peer-node-id')}`;
  return objects
    .filter(({ kind }) => kind === 'connection')
    .map(({ fields }) => ({
      resource: fields.get('name') ?? '',
      nodeId: Number(fields.get('peer-node-id')),
      paths: objects
        .filter((other) => other.kind === 'path' && key(other.fields) === key(fields))
        .map((path) => ({ local: path.fields.get('local') ?? '', peer: path.fields.get('peer') ?? '' })),
    }));
}

/** @throws where the closing `exists -` is missing. */
function parseObjects(text: string): ReturnType<typeof parseLine>[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.at(-1)?.trim() !== 'exists -') throw new Error(`events2 was cut off: ${lines.at(-1) ?? 'no output'}`);
  return lines.slice(0, -1).map(parseLine);
}

function parseLine(line: string): { kind: string; fields: ReadonlyMap<string, string> } {
  const [event, kind, ...pairs] = line.trim().split(/\s+/);
  if (event !== 'exists' || !kind) throw new Error(`not a line of events2 --now: ${line}`);
  // A value may hold colons itself (addresses): only the first one separates.
  return { kind, fields: new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)])) };
}

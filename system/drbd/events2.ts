/**
 * `drbdsetup events2 --now --statistics`: all resources at one instant, one line for each object, each line `exists KIND key:value …`. Of 8.4 it is
 * asked for what /proc/drbd does not say: which resource a minor belongs to. Sources: drbdsetup-8.4(8), recorded output.
 */

export interface ResourceMinor {
  readonly resource: string;
  /** undefined: the resource has no device yet. */
  readonly minor?: number;
}

/** Resources with their first device; ours have one. @throws where the closing `exists -` is missing: the answer was cut off. */
export function parseEvents2(text: string): ResourceMinor[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.at(-1)?.trim() !== 'exists -') throw new Error(`events2 was cut off: ${lines.at(-1) ?? 'no output'}`);
  const objects = lines.slice(0, -1).map(parseLine);
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

function parseLine(line: string): { kind: string; fields: ReadonlyMap<string, string> } {
  const [event, kind, ...pairs] = line.trim().split(/\s+/);
  if (event !== 'exists' || !kind) throw new Error(`not a line of events2 --now: ${line}`);
  // A value may hold colons itself (addresses): only the first one separates.
  return { kind, fields: new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)])) };
}

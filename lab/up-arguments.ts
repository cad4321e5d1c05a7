/** The arguments of `lab up`. */
import { parseArgs } from 'node:util';
import { drbd9Of } from './drbd9.ts';
import type { UpOptions } from './lab.ts';
import { UsageError } from './usage-error.ts';

/** @throws UsageError, and what `parseArgs` throws for an option that is none. */
export function parseUpArguments(args: string[]): Pick<UpOptions, 'drbd9'> & Required<Pick<UpOptions, 'nodes' | 'rehome'>> {
  const options = {
    nodes: { type: 'string', default: '3' },
    'no-rehome': { type: 'boolean', default: false },
    'drbd-modules': { type: 'string' },
    'drbd9-nodes': { type: 'string' },
  } as const;
  const { values } = parseArgs({ args, options });
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 9) throw new UsageError(`--nodes ${values.nodes}: 1 to 9`);
  const drbd9 = drbd9Of(values['drbd-modules'], values['drbd9-nodes'], nodes);
  return { nodes, rehome: !values['no-rehome'], ...(drbd9 && { drbd9 }) };
}

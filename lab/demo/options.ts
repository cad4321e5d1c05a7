/** The command line of the demo. */
import { parseArgs } from 'node:util';
import { UsageError } from '../usage-error.ts';

export const USAGE = `usage: npm run demo [-- OPTION...]
  --online      volumes are copied beneath their running pods, and the node is drained when every copy is proven: pods are down for seconds
  --chaos       kill -9 of the controller and of a target's virtual machine in the middle of the first sync; both are started again
  --volumes N   N volumes more on the node, which nobody uses, of 8 MiB each
  --keep        leaves everything running afterwards and says how to look around
  --help        this text`;

export interface DrainOptions {
  readonly online: boolean;
  readonly chaos: boolean;
  /** How many idle volumes the node has besides. */
  readonly volumes: number;
}

export interface DemoOptions extends DrainOptions {
  readonly keep: boolean;
}

/** With more, the raw volume that a workload writes through might be full before all have moved. */
const MOST_VOLUMES = 50;

/** @throws UsageError, and what `parseArgs` throws for an option that is none. */
export function parseDemoOptions(args: string[]): DemoOptions {
  const options = {
    online: { type: 'boolean', default: false },
    chaos: { type: 'boolean', default: false },
    volumes: { type: 'string', default: '0' },
    keep: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ args, options });
  const volumes = /^\d+$/.test(values.volumes) ? Number(values.volumes) : Number.NaN;
  if (!(volumes <= MOST_VOLUMES)) throw new UsageError(`--volumes ${values.volumes}: 0 to ${MOST_VOLUMES}`);
  return { ...values, volumes };
}

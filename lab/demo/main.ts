/**
 * `npm run demo`: a real drain of a real node, and every promise checked. Exits 0 only if all of them held.
 *
 *   --keep   leaves everything running afterwards and says how to look around
 */
import { parseArgs } from 'node:util';
import { Lab, Steps } from '../index.ts';
import { runDrain } from './drain.ts';
import { printReport } from './report.ts';

const { values: options } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const steps = new Steps();

async function main(): Promise<number> {
  const lab = await Lab.up({ steps, controllerEnvironment: { REHOME_HASH_CHECK: 'true' } });
  const result = await runDrain(lab, steps);
  await printReport(lab, result);
  return result.checks.every(({ holds }) => holds) ? 0 : 1;
}

/** A second Ctrl-C while the first is cleaning up changes nothing. */
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    steps.say(`${signal}: taking everything down`);
    void Lab.down({ steps }).finally(() => process.exit(130));
  });
}

let exitCode = 1;
try {
  exitCode = await main();
} catch (error) {
  if (!interrupted) console.error(error instanceof Error ? (error.stack ?? error.message) : error);
} finally {
  if (options.keep) sayHowToLookAround();
  else if (!interrupted) await Lab.down({ steps });
}
if (!interrupted) process.exit(exitCode);

function sayHowToLookAround(): void {
  console.log(`
Everything is left running. To look around:
  eval "$(npm run --silent lab -- env)"       kubectl, temporal and their addresses in this shell
  kubectl get lvmigrate,lsn,lvr               migrations, nodes, replicas
  npm run lab -- status                       nodes, volumes, processes, addresses
  npm run lab -- start n1                     the drained node again
  npm run lab -- down                         takes everything down`);
}

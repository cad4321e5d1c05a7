/** `npm run demo`: a real drain of a real node, and every promise checked. Exits 0 only if all of them held. */
import { inWords, parseCommandLine } from '../command-line.ts';
import { Lab, Steps, takeDownOnInterrupt } from '../index.ts';
import { COLLECTOR } from './collector.ts';
import { runDrain } from './drain.ts';
import { parseDemoOptions, USAGE } from './options.ts';
import { printReport } from './report.ts';

const options = parseCommandLine(parseDemoOptions, USAGE);
/** The hashes are an option. Side by side, moves would share the one emulated processor of their nodes: they would end no sooner, and pods wait longer. */
const CONTROLLER_ENVIRONMENT = { REHOME_HASH_CHECK: 'true', REHOME_SYNCS_PER_NODE: '1' };

const steps = new Steps();
const interruption = takeDownOnInterrupt(steps);

let exitCode = 1;
try {
  const lab = await Lab.up({ steps, willListenOn: [COLLECTOR], controllerEnvironment: CONTROLLER_ENVIRONMENT });
  try {
    const result = await runDrain(lab, steps, options);
    await printReport(lab, result, options);
    exitCode = result.checks.every(({ holds }) => holds) ? 0 : 1;
  } finally {
    if (!interruption.begun) await leave(lab);
  }
} catch (error) {
  if (!interruption.begun) console.error(inWords(error));
}
// Whoever interrupted it ends it, when everything is down.
if (!interruption.begun) process.exit(exitCode);

async function leave(lab: Lab): Promise<void> {
  if (!options.keep) return Lab.downOwn({ steps });
  lab.keep();
  console.log(`
Everything is left running. To look around:
  eval "$(npm run --silent lab -- env)"       kubectl, temporal and their addresses in this shell
  kubectl get lvmigrate,lsn,lvr               migrations, nodes, replicas
  npm run lab -- status                       nodes, volumes, processes, addresses
  npm run lab -- start n1                     the drained node again
  npm run lab -- down                         takes everything down`);
}

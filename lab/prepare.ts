/** Puts at hand what the lab and the tests against real servers need, so that its minutes are seen here and not as a silent test. */
import { existsSync } from 'node:fs';
import { programChecks } from './cluster/preflight.ts';
import { ensurePrograms } from './cluster/programs.ts';
import { ensureImage } from './image/index.ts';
import { NODES } from './parts.ts';
import { machineChecks, preflight } from './preflight.ts';
import { Steps } from './progress.ts';
import { labDirectory } from './state.ts';
import { ensureTools } from './tools/index.ts';

const steps = new Steps();
const directory = labDirectory();
// A lab that is there has taken its memory and disk already.
await preflight([...machineChecks(existsSync(directory) ? 0 : NODES, directory), ...programChecks()]);
await steps.run("the machine's tools are installed", () => ensureTools(steps.say));
await Promise.all([
  steps.run("the nodes' system is at hand", () => ensureImage(steps.say)),
  steps.run('Kubernetes and Temporal are at hand', () => ensurePrograms(steps.say)),
]);

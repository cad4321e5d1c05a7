/** Puts at hand what the lab and the tests against real servers need, so that its minutes are seen here and not as a silent test. */
import { existsSync } from 'node:fs';
import { portChecks, programChecks } from './cluster/preflight.ts';
import { ensurePrograms } from './cluster/programs.ts';
import { ensureImage } from './image/index.ts';
import { LISTENERS, NODES } from './parts.ts';
import { machineChecks, preflight } from './preflight.ts';
import { Steps } from './progress.ts';
import { labDirectory } from './state.ts';
import { ensureTools } from './tools/index.ts';

const steps = new Steps();
const directory = labDirectory();
// A lab that is there has taken its memory, disk and ports already.
const isThere = existsSync(directory);
await preflight([...machineChecks(isThere ? 0 : NODES, directory), ...programChecks(), ...portChecks(isThere ? [] : LISTENERS)]);
await steps.run("the machine's tools are installed", () => ensureTools(steps.say));
await Promise.all([
  steps.run("the nodes' system is at hand", () => ensureImage(steps.say)),
  steps.run('Kubernetes and Temporal are at hand', () => ensurePrograms(steps.say)),
]);

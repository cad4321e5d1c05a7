/** Puts at hand what the lab and the tests against real servers need, so that its minutes are seen here and not as a silent test. */
import { clusterChecks } from './cluster/preflight.ts';
import { ensurePrograms } from './cluster/programs.ts';
import { ensureImage } from './image/index.ts';
import { preflight } from './preflight.ts';
import { Steps } from './progress.ts';
import { ensureTools } from './tools/index.ts';

const steps = new Steps();
await preflight(clusterChecks([]));
await steps.run("the machine's tools are installed", () => ensureTools(steps.say));
await Promise.all([
  steps.run("the nodes' system is at hand", () => ensureImage(steps.say)),
  steps.run('Kubernetes and Temporal are at hand', () => ensurePrograms(steps.say)),
]);

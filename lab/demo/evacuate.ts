/** The node is emptied as a person would do it, with plain kubectl, and the moves of its volumes are shown meanwhile. */
import { spawn } from 'node:child_process';
import type { Lab, Steps } from '../index.ts';
import { waitFor } from '../wait.ts';
import { slowDown, strikeFirstSync } from './chaos.ts';
import { LiveTable } from './live-table.ts';
import { readMigrations, waitForPodsOnly } from './migrations.ts';
import type { DrainOptions } from './options.ts';

/** For all that the demo moves without options, and for each volume more. */
const MOVE_SECONDS = 300;
const SECONDS_OF_A_VOLUME = 20;
/** Longer than a `kubectl wait` is told to wait: that is not counted while an API server that has fallen silent owes it an answer. */
const ANSWER_SECONDS = 30;

export interface LoadedNode {
  readonly name: string;
  /** Volumes of pods, and those of nobody. */
  readonly used: readonly string[];
  readonly idle: readonly string[];
}

interface Evacuation {
  readonly lab: Lab;
  /** Its lines stand among the table's. */
  readonly steps: Steps;
  readonly table: LiveTable;
  readonly node: LoadedNode;
  readonly limitSeconds: number;
}

/** Returns when the node is Evacuated. @returns when its pods were asked to go, in milliseconds since the epoch. */
export async function evacuate(lab: Lab, steps: Steps, node: LoadedNode, options: DrainOptions): Promise<number> {
  const table = new LiveTable(() => readMigrations(lab));
  const limitSeconds = MOVE_SECONDS + options.volumes * SECONDS_OF_A_VOLUME;
  const evacuation = { lab, steps: steps.through((line) => table.say(line)), table, node, limitSeconds };
  try {
    if (options.chaos) await slowDown(lab, evacuation.steps, node.name);
    const chaos = options.chaos ? strikeFirstSync(lab, evacuation.steps, node.name) : undefined;
    if (options.online) await Promise.all([copyBeneathPods(evacuation), chaos]);
    const drainedAt = Date.now();
    await Promise.all([drain(evacuation), chaos]);
    return drainedAt;
  } finally {
    await table.stop();
  }
}

/** Nothing of a pod is touched here: it writes on, beside the copy of its volume. */
async function copyBeneathPods(evacuation: Evacuation): Promise<void> {
  const { lab, steps, node, limitSeconds } = evacuation;
  for (const args of [
    ['annotate', 'node', node.name, 'rehome.io/online=true', '--overwrite'],
    ['cordon', node.name],
  ]) {
    steps.say(`kubectl ${args.join(' ')}`);
    await runKubectl(evacuation, args);
  }
  const copied = 'each volume of a pod has a proven copy, and what nobody uses has moved';
  await steps.run(copied, () =>
    waitFor(copied, async () => waitForPodsOnly(await readMigrations(lab), node), { timeoutSeconds: limitSeconds, intervalMs: 1000 }),
  );
}

async function drain(evacuation: Evacuation): Promise<void> {
  const { steps, node, limitSeconds } = evacuation;
  const args = ['drain', node.name, '--ignore-daemonsets', '--delete-emptydir-data'];
  steps.say(`kubectl ${args.join(' ')}`);
  await runKubectl(evacuation, args);
  steps.say('kubectl drain has returned: the pods have gone, their volumes have not yet');
  await runKubectl(evacuation, ['wait', `localstoragenode/${node.name}`, '--for=condition=Evacuated', `--timeout=${limitSeconds}s`]);
}

/** An unmodified kubectl, its output among the table's lines. */
async function runKubectl({ lab, table, limitSeconds }: Evacuation, args: readonly string[]): Promise<void> {
  const options = { env: { ...process.env, ...lab.environment() }, timeout: (limitSeconds + ANSWER_SECONDS) * 1000 };
  const child = spawn('kubectl', args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => table.say(text.trimEnd()));
  const exitCode = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (exitCode !== 0) throw new Error(`kubectl ${args[0]} ended with ${exitCode}`);
}

/**
 * Records the histories that `replay.test.ts` replays. See "Histories" in docs/development.md.
 *
 *   node test/workflow/record-histories.ts [SCENARIO ...]                                plays these scenarios, or all, over a cluster in memory
 *   node test/workflow/record-histories.ts --address HOST:PORT                           lists the workflows of a Temporal server, such as a lab's
 *   node test/workflow/record-histories.ts --address HOST:PORT ID[@RUN]=SCENARIO ...     keeps these as `lab`; without a run the last one
 *
 * `--namespace` is `default` unless given.
 */
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { keepHistory, SCENARIOS, type WorkflowName } from './histories.ts';
import { POD_SCENES } from './pod-scenes.ts';
import { SCENES as DRAIN_SCENES, type Scene } from './scenes.ts';
import { quietRuntime, startDevelopmentServer } from './temporal-servers.ts';
import { TestBed } from './test-bed.ts';

const SCENES = [...DRAIN_SCENES, ...POD_SCENES];

const { values, positionals } = parseArgs({
  options: { address: { type: 'string' }, namespace: { type: 'string', default: 'default' } },
  allowPositionals: true,
});
if (values.address === undefined) await playAll(positionals);
else
  await withClient(values.address, values.namespace, (client) => (positionals.length === 0 ? list(client) : keepAll(client, positionals)));

/** One after another: what they wait for is mostly the processor. */
async function playAll(wanted: readonly string[]): Promise<void> {
  quietRuntime();
  const unknown = wanted.filter((scenario) => !SCENES.some(({ scenarios }) => scenarios.includes(scenario)));
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: there are ${SCENES.flatMap(({ scenarios }) => scenarios).join(', ')}`);
  const scenes = SCENES.filter(({ scenarios }) => wanted.length === 0 || scenarios.some((scenario) => wanted.includes(scenario)));
  for (const longHistoryEvents of new Set(scenes.map((scene) => scene.longHistoryEvents))) {
    const bed = await TestBed.open(() => startDevelopmentServer(longHistoryEvents));
    try {
      for (const scene of scenes.filter((each) => each.longHistoryEvents === longHistoryEvents)) await play(bed, scene);
    } finally {
      await bed.close();
    }
  }
}

async function play(bed: TestBed, { play, ownController = false }: Scene): Promise<void> {
  const harness = await bed.harness({ ownController });
  try {
    for (const { workflow, scenario, run } of await play(harness)) {
      console.log(keepHistory(workflow, scenario, 'fake', await run.fetchHistory()));
    }
  } finally {
    await harness.stop();
  }
}

async function withClient(address: string, namespace: string, use: (client: Client) => Promise<void>): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    await use(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}

async function list(client: Client): Promise<void> {
  for await (const { workflowId, runId, type, status, startTime, historyLength } of client.workflow.list()) {
    console.log(`${startTime.toISOString()}  ${status.name.padEnd(16)} ${type.padEnd(13)} ${historyLength} events  ${workflowId}@${runId}`);
  }
}

async function keepAll(client: Client, wanted: readonly string[]): Promise<void> {
  for (const text of wanted) {
    const [, id, runId, scenario] = /^([^@=]+)(?:@([^=]+))?=(.+)$/.exec(text) ?? [];
    if (id === undefined || scenario === undefined) throw new Error(`${text} is not WORKFLOW_ID[@RUN_ID]=SCENARIO`);
    const run = client.workflow.getHandle(id, runId);
    const { type } = await run.describe();
    if (!Object.hasOwn(SCENARIOS, type)) throw new Error(`${id} is a ${type}, not one of ${Object.keys(SCENARIOS).join(', ')}`);
    console.log(keepHistory(type as WorkflowName, scenario, 'lab', await run.fetchHistory()));
  }
}

import { Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import * as workflows from '../../workflows/index.ts';
import { CLUSTER_ACTIVITIES } from './fake-cluster.ts';
import { createFakeNodeActivities } from './fake-node.ts';
import { betrayalsIn, readHistories, SCENARIOS, workflowIdOf, workflowTypeOf } from './histories.ts';
import { quietRuntime } from './temporal-servers.ts';
import { loadWorkflowBundle } from './workflow-bundle.ts';
import { World } from './world.ts';

const REMEDY =
  'With this change a workflow that runs now would take other steps than its history tells, and stand still for good. ' +
  'Keep the old way for it with patched(), or record anew where none can be running: "Histories" in docs/development.md.';

const kept = readHistories();
/** By file, why it does not replay. */
const failures = new Map<string, string | undefined>();

async function replay(histories: readonly { readonly file: string; readonly workflowId: string; readonly history: unknown }[]) {
  const workflowBundle = await loadWorkflowBundle();
  const given = histories.map(({ workflowId, history }) => ({ workflowId, history: history as never }));
  let index = 0;
  for await (const { error } of Worker.runReplayHistories({ workflowBundle }, given)) {
    failures.set(histories[index++]!.file, error && `${REMEDY}\n${error.message}`);
  }
}

beforeAll(async () => {
  quietRuntime();
  await replay(kept.map((one) => ({ ...one, workflowId: workflowIdOf(one) })));
});

describe('the history of a workflow that ran before replays with the workflows as they are now', () => {
  test.for(kept.map(({ file }) => file))('%s', (file) => {
    expect(failures.has(file)).toBe(true);
    expect(failures.get(file), failures.get(file)).toBeUndefined();
  });
});

test('a history that tells of another step than the workflow takes is refused, and it is said what to do', async () => {
  const changed = structuredClone(kept.find(({ file }) => file.startsWith('migrateVolume.completed'))!);
  const scheduled = changed.history.events.map(({ activityTaskScheduledEventAttributes }) => activityTaskScheduledEventAttributes);
  scheduled.find((attributes) => attributes?.activityType.name === 'verifyMirror')!.activityType.name = 'closeSource';
  await replay([{ ...changed, file: 'changed', workflowId: workflowIdOf(changed) }]);
  expect(failures.get('changed')).toMatch(/patched\(\)[\s\S]*nondeterminism/i);
});

describe('what is kept', () => {
  test('is of every workflow and every scenario', () => {
    expect(Object.keys(SCENARIOS).sort()).toEqual(Object.keys(workflows).sort());
    const wanted = Object.entries(SCENARIOS).flatMap(([workflow, scenarios]) => scenarios.map((scenario) => `${workflow}.${scenario}`));
    const found = new Set(kept.map(({ workflow, scenario }) => `${workflow}.${scenario}`));
    expect(
      wanted.filter((name) => !found.has(name)),
      'record these: "Histories" in docs/development.md',
    ).toEqual([]);
  });

  test('was recorded on real nodes, too, of every workflow that came to its end, was taken back, was parked or crashed', () => {
    const found = new Set(kept.map(({ file }) => file));
    const wanted = Object.keys(SCENARIOS).flatMap((workflow) =>
      ['completed', 'aborted', 'parked', 'crashed'].map((scenario) => `${workflow}.${scenario}.lab.json.gz`),
    );
    expect(wanted.filter((file) => !found.has(file))).toEqual([]);
  });

  test('is what its name says', () => {
    for (const { workflow, file, history } of kept) expect(workflowTypeOf(history), file).toBe(workflow);
  });

  test('tells of every activity that a workflow may call, so that none can go or come unseen', () => {
    const world = new World();
    world.addNode('n1');
    const called = new Set(
      kept.flatMap(({ history }) => history.events.map((event) => event.activityTaskScheduledEventAttributes?.activityType.name)),
    );
    const known = [...CLUSTER_ACTIVITIES, ...Object.keys(createFakeNodeActivities(world, 'n1'))];
    // A trigger's alone.
    expect(known.filter((name) => !called.has(name))).toEqual(['releaseHolds']);
  });

  test('names no machine, no file of one, and nothing secret', () => {
    for (const { file, history } of kept) expect(betrayalsIn(history), file).toEqual([]);
  });
});

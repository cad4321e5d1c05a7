/** Something on the node has a volume open of which the API server says that nobody uses it: a mount that was left, a process of the node itself. */
import { expect } from 'vitest';
import { expectMoved } from './expect-moved.ts';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ shortTimings: true });

const closings = ({ world, n1 }: Harness) => world.journal.filter((step) => step === `closeSource ${n1}`).length;

/** Returns when the volume could not be closed so often. */
async function heldOpen(harness: Harness, times: number): Promise<void> {
  const { world, n1, data } = harness;
  world.node(n1).volumes.get(data)!.open = true;
  const migration = await harness.migrate();
  await eventually(async () => {
    await migration.lookAgain();
    expect(closings(harness)).toBeGreaterThanOrEqual(times);
  });
}

async function letGo(harness: Harness): Promise<void> {
  const { world, n1, data } = harness;
  world.node(n1).volumes.get(data)!.open = false;
  await harness.migration().lookAgain();
}

test.concurrent('it waits, says so, and gives its turn to sync to others', async ({ harness }) => {
  const { world, n1 } = harness;
  world.syncLimits.perNode = 1;
  await heldOpen(harness, 2);
  const other = harness.volume('a');
  world.addVolume(other, n1);
  expect(await (await harness.migrate(other)).result()).toMatchObject({ outcome: 'Completed' });
  expect(harness.migrateObject().message).toBe('the volume is open on its node');
  await letGo(harness);
  await harness.migration().result();
  expectMoved(harness);
});

test.concurrent('however long it waited, a mirror that is not whole for an instant afterwards is tried again', async ({ harness }) => {
  const { world, n1 } = harness;
  world.faults.fail(`markCutOver ${n1}`, 'MirrorNotReady', { times: 1, message: 'the target reconnects' });
  await heldOpen(harness, 8);
  await letGo(harness);
  await harness.migration().result();
  expectMoved(harness);
  expect(harness.migrateObject().phases).not.toContain('NeedsAttention');
});

import { Worker } from '@temporalio/worker';
import { describe, expect } from 'vitest';
import { workflowId } from '../../core/contracts/names.ts';
import { expectMoved } from './expect-moved.ts';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest();

describe.concurrent('a migration whose workflow was terminated is continued by a new one', () => {
  test('from the closed source on, which is verified before it is given up', async ({ harness }) => {
    const { world, n1, data } = harness;
    const detach = world.faults.gate(`closeSource ${n1}`);
    const terminated = await harness.migrate();
    await detach.reached;
    world.writePastMirror(data, n1, ' and more');
    const verify = world.faults.gate(`verifyMirror ${n1}`);
    detach.open();
    await verify.reached;
    await terminated.terminate();
    verify.open();
    await (await harness.migrate()).result();
    expect(harness.migrateObject().pairing).toBe(1);
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('from a mirror on that a restart of the source took away meanwhile, with all of it copied again', async ({ harness }) => {
    const { world, n1, data } = harness;
    const gate = world.faults.gate(`verifyMirror ${n1}`);
    const terminated = await harness.migrate();
    await gate.reached;
    await terminated.terminate();
    world.reboot(n1);
    world.write(data, n1, ' and more');
    gate.open();
    await (await harness.migrate()).result();
    expect(harness.migrateObject().pairing).toBe(2);
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('from an abort on, which is brought to its end', async ({ harness }) => {
    const before = harness.world.snapshot();
    const sync = harness.world.faults.gate('awaitSync');
    const terminated = await harness.migrate();
    await sync.reached;
    const restore = harness.world.faults.gate('restoreSource');
    await terminated.abort();
    await restore.reached;
    await terminated.terminate();
    restore.open();
    expect(await (await harness.migrate()).result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: true });
    expect(harness.world.snapshot()).toEqual(before);
  });

  test('even when the new one was started for another node', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const gate = world.faults.gate('switchObjects');
    const terminated = await harness.migrate();
    await gate.reached;
    await terminated.terminate();
    gate.open();
    const migration = await harness.migrate(harness.data, n2);
    expect(await migration.result()).toMatchObject({ outcome: 'Completed', sourceNode: n1 });
    expectMoved(harness);
  });
});

describe.concurrent('a finished migration that is reset', () => {
  test('does not obey the late abort that is applied to it again', async ({ harness }) => {
    const gate = harness.world.faults.gate('switchObjects');
    const migration = await harness.migrate();
    await gate.reached;
    await migration.abort();
    gate.open();
    await migration.result();
    const moved = harness.world.snapshot();
    expect(await (await migration.reset()).result()).toMatchObject({ outcome: 'NothingToMove', abortedByPerson: false });
    expect(harness.world.snapshot()).toEqual(moved);
  });
});

test.concurrent('a migration in cut-over that is reset goes forward from there, in spite of the abort that is applied to it again', async ({
  harness,
}) => {
  const gate = harness.world.faults.gate('switchObjects');
  const migration = await harness.migrate();
  await gate.reached;
  await migration.abort();
  const reset = await migration.reset();
  gate.open();
  expect(await reset.result()).toMatchObject({ outcome: 'Completed' });
  expectMoved(harness);
});

test.concurrent('a migration goes on under the next controller when its own dies in mid-sync', async ({ bed, onTestFinished }) => {
  const harness = await bed.harness({ ownController: true });
  onTestFinished(() => harness.stop());
  const gate = harness.world.faults.gate('awaitSync');
  const migration = await harness.migrate();
  await gate.reached;
  await harness.stopController();
  gate.open();
  await eventually(() => expect(harness.world.journal).toContain(`awaitSync ${harness.n1}`));
  await harness.startController();
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  expect(harness.world.journal.filter((step) => step.startsWith('awaitSync'))).toHaveLength(1);
  expectMoved(harness);
});

test.concurrent('nothing to move ends at once: no record is opened', async ({ harness }) => {
  harness.world.volumes.get(harness.data)!.replicas.clear();
  expect(await (await harness.migrate()).result()).toMatchObject({ outcome: 'NothingToMove' });
  expect(harness.world.migrates).toEqual([]);
});

test.concurrent('the history of a migration with all its turns replays to the same commands', async ({ bed, harness }) => {
  const { world, n1 } = harness;
  world.faults.fail('ensureSourceMirror', 'NotPermitted', { permanent: true });
  const gate = world.faults.gate(`awaitSync ${n1}`);
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
  await migration.retry();
  await gate.reached;
  await migration.lookAgain();
  await migration.abort();
  await migration.result();
  const history = await migration.history();
  await Worker.runReplayHistory({ workflowBundle: bed.bundle }, history, workflowId.migrateVolume(harness.data));
});

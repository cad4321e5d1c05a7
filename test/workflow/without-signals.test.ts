import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ shortTimings: true });

test.concurrent('a step that waits for an agent that is away says so', async ({ harness }) => {
  const { world, n1, n2 } = harness;
  await harness.stopAgent(n2);
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject().message).toBe(`waits for the agent on ${n2}`));
  expect(await migration.details()).toContain(`waits for the agent on ${n2}`);
  await harness.startAgent(n2);
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  expect(world.journal.filter((step) => step === `ensureSourceMirror ${n1}`)).toHaveLength(1);
});

test.concurrent('a step that syncs for long shows how far it is', async ({ harness }) => {
  const gate = harness.world.faults.gate('awaitSync');
  const migration = await harness.migrate();
  await gate.reached;
  harness.migrateObject().percent = 42;
  await eventually(async () => expect(await migration.details()).toMatch(/Syncing, 42 % at [\d:]+ UTC: copies to/));
  gate.open();
  delete harness.migrateObject().percent;
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
});

test.concurrent('a migration whose node was uncordoned while it synced is taken back', async ({ harness }) => {
  const { world, n1 } = harness;
  const before = world.snapshot();
  const gate = world.faults.gate('awaitSync');
  const migration = await harness.migrate();
  await gate.reached;
  world.node(n1).cordoned = false;
  expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
  expect(world.snapshot()).toEqual(before);
});

test.concurrent('a terminated migration is noticed also by an eviction that hears of something all the time', async ({ harness }) => {
  const { world, n1, n2, data } = harness;
  const gate = world.faults.gate('awaitSync');
  await harness.cordon();
  await gate.reached;
  await harness.migration().terminate();
  gate.open();
  await eventually(async () => {
    await harness.signals.nodeChanged(n1);
    // As often as the ends of a large drain.
    await sleep(500);
    expect(world.volumes.get(data)?.affinity).toBe(n2);
  });
});

test.concurrent('a terminated migration is noticed by the eviction and started again', async ({ harness }) => {
  const { world, n2, data } = harness;
  const gate = world.faults.gate('awaitSync');
  await harness.cordon();
  await gate.reached;
  await harness.migration().terminate();
  gate.open();
  await harness.eviction().result();
  expect(world.volumes.get(data)?.affinity).toBe(n2);
  expect(world.migrates).toHaveLength(1);
});

test.concurrent('an abort leaves the share of a target whose agent falls silent meanwhile', async ({ harness }) => {
  const { world, n1, n2 } = harness;
  const gate = world.faults.gate('awaitSync');
  const migration = await harness.migrate();
  await gate.reached;
  await harness.stopAgent(n2);
  world.node(n2).agentAlive = true;
  await migration.abort();
  await eventually(() => expect(world.journal).toContain(`restoreSource ${n1}`));
  world.node(n2).agentAlive = false;
  expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
  expect(harness.migrateObject().message).toMatch(/is away and removes its share when it returns$/);
});

test.concurrent('a PersistentVolume that is held for long calls a person, and still goes on by itself at the next look', async ({
  harness,
}) => {
  const { world } = harness;
  world.faults.fail('switchObjects', 'PersistentVolumeRefused', { message: 'it is attached', times: 1000, permanent: true });
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'CuttingOver' }));
  expect(harness.migrateObject().message).toBe('PersistentVolumeRefused: switchObjects: it is attached');
  world.faults.mend('switchObjects');
  await migration.lookAgain();
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
});

test.concurrent('an eviction that cannot start one of its migrations moves the others, says so, and tries again', async ({ harness }) => {
  const { world, n1, n2, data } = harness;
  const log = harness.volume('log');
  world.addVolume(log, n1);
  world.faults.fail(`startMigration ${data}`, 'Error', { message: 'RESOURCE_EXHAUSTED', times: 1000, permanent: true });
  world.faults.fail('findEndedMigrations', 'Error', { permanent: true });
  world.faults.fail('observeNodeEviction', 'Error', { permanent: true });
  await harness.cordon();
  await eventually(() => expect(world.volumes.get(log)?.affinity).toBe(n2));
  await eventually(async () =>
    expect(await harness.evictionDetails()).toContain(
      `failed, and is tried again: move ${data}: Error: startMigration: RESOURCE_EXHAUSTED`,
    ),
  );
  world.faults.mend(`startMigration ${data}`);
  await harness.eviction().result();
  expect(world.volumes.get(data)?.affinity).toBe(n2);
});

test.concurrent('an eviction of many volumes starts ten migrations at a time', async ({ harness }) => {
  const { world, n1 } = harness;
  const volumes = Array.from({ length: 14 }, (_, index) => harness.volume(`v${index}`));
  for (const volume of volumes) world.addVolume(volume, n1);
  world.volumes.delete(harness.data);
  let started = 0;
  const gate = Promise.withResolvers<void>();
  harness.activities.startMigration = async ({ volume }) => {
    started += 1;
    await gate.promise;
    world.volumes.delete(volume);
  };
  await harness.cordon();
  await eventually(() => expect(started).toBe(10));
  const { events } = await harness.eviction().fetchHistory();
  const scheduled = events?.filter(({ activityTaskScheduledEventAttributes: it }) => it?.activityType?.name === 'startMigration');
  expect(scheduled).toHaveLength(10);
  gate.resolve();
  await harness.eviction().result();
  expect(started).toBe(14);
});

// What the next two look for lasts a moment: nothing runs beside them.
test('a node that was given up is tried again after a while: somebody may have repaired it', async ({ harness }) => {
  const { world, n1, n2 } = harness;
  world.faults.fail(`ensureTargetMirror ${n2}`, 'PoolFull');
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject().message).toBe(`no node can take the volume: ${n1} SourceNode, ${n2} PoolFull`));
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
});

test('a PersistentVolume that is held is waited for without a person', async ({ harness }) => {
  const { world } = harness;
  world.faults.fail('switchObjects', 'PersistentVolumeRefused', { message: 'it is attached', times: 1000, permanent: true });
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject().message).toBe('waits: switchObjects: it is attached'));
  world.faults.mend('switchObjects');
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  expect(harness.migrateObject().phases).not.toContain('NeedsAttention');
});

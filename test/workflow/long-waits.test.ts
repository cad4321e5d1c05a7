import { expect } from 'vitest';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ skippedTime: true });

test('a migration without a target looks every minute, says nothing twice, and finds one that appears', async ({ bed, harness }) => {
  const { world, n2, data } = harness;
  world.node(n2).freeBytes = 0;
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject().phase).toBe('Reserving'));
  await bed.environment.sleep('5 minutes');
  expect(world.journal.filter((step) => step === 'reserveTarget').length).toBeGreaterThan(3);
  expect(world.events.filter((event) => event === `WaitingForTarget ${data}`)).toHaveLength(1);
  world.node(n2).freeBytes = 2 ** 30;
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
});

test('a step that has used up its retries parks the migration, and retry goes on', async ({ bed, harness }) => {
  const { world } = harness;
  world.faults.fail('ensureTargetMirror', 'CommandFailed', { times: 100, message: 'lvcreate ended with 5' });
  const migration = await harness.migrate();
  await eventually(() => expect(harness.migrateObject().phase).toBe('Preparing'));
  await bed.environment.sleep('10 minutes');
  await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
  expect(harness.migrateObject()).toMatchObject({
    parkedIn: 'Preparing',
    message: 'CommandFailed: ensureTargetMirror: lvcreate ended with 5',
  });
  world.faults.mend('ensureTargetMirror');
  await migration.retry();
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
});

test.for([
  ['while it reserves room', 'reserveTarget'],
  ['while the agent asks whether it may close the volume', 'closeSource'],
] as const)('an API server that does not answer %s is waited for, and that is said', async ([, step], { bed, harness }) => {
  const { world } = harness;
  world.faults.fail(step, 'ApiUnavailable', { times: 1000 });
  const migration = await harness.migrate();
  await eventually(() => expect(world.faults.met.has(step)).toBe(true));
  await bed.environment.sleep('10 minutes');
  await eventually(async () => expect(await migration.details()).toContain('- waits for the API server'));
  expect(harness.migrateObject().phases).not.toContain('NeedsAttention');

  world.faults.mend(step);
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  expect(harness.migrateObject().phases).not.toContain('NeedsAttention');
  expect(await migration.details()).not.toContain('waits for the API server');
});

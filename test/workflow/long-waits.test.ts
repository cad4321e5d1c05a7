import { expect } from 'vitest';
import { expectMoved } from './expect-moved.ts';
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

test('a target that is back before ten minutes are over is kept, with all that was copied', async ({ bed, harness }) => {
  const { world, n1, n2, n3 } = harness;
  const gate = world.faults.gate(`awaitSync ${n1}`);
  const migration = await harness.migrate();
  await gate.reached;
  world.addNode(n3);
  world.node(n2).storageCut = true;
  gate.open();
  await bed.environment.sleep('9 minutes');
  world.node(n2).storageCut = false;
  await migration.result();
  expectMoved(harness);
  expect(harness.migrateObject()).toMatchObject({ pairing: 1 });
});

test('a target to which no mirror comes about is given up for another', async ({ bed, harness }) => {
  const { world, n2, n3 } = harness;
  const gate = world.faults.gate('ensureSourceMirror');
  // One attempt, and one after each of six pauses.
  world.faults.fail('ensureSourceMirror', 'MirrorNotReady', { times: 7, message: 'no handshake' });
  const migration = await harness.migrate();
  await gate.reached;
  world.addNode(n3);
  await harness.startAgent(n3);
  gate.open();
  await bed.environment.sleep('5 minutes');
  await migration.result();
  expectMoved(harness, undefined, n3);
  expect(world.messages).toContain(`${n2} is given up for ${n3}: no mirror to it comes about: ensureSourceMirror: no handshake`);
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

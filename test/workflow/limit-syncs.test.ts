import { expect } from 'vitest';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ shortTimings: true });

/** Three volumes of n1, of which one may sync at a time; the drain has begun, and the first of them syncs. */
async function oneSyncs(harness: Harness): Promise<{ first: string; waiting: string[]; open: () => void }> {
  const { world, n1, data } = harness;
  world.syncLimits.perNode = 1;
  const volumes = [data, harness.volume('a'), harness.volume('b')];
  for (const volume of volumes.slice(1)) world.addVolume(volume, n1);
  const gate = world.faults.gate(`awaitSync ${n1}`);
  await harness.cordon();
  await gate.reached;
  const first = world.migrates.find(({ phase }) => phase === 'Syncing')!.ref.volume;
  const waiting = volumes.filter((volume) => volume !== first);
  await eventually(() => {
    for (const volume of waiting) {
      const message = expect.stringMatching(/^waits for its turn to sync from .* \(at most 1 a node/);
      expect(harness.migrateObject(volume)).toMatchObject({ message, reason: 'WaitingForTurn' });
    }
  });
  return { first, waiting, open: gate.open };
}

test.concurrent('volumes of a node move one after the other where one may sync at a time', async ({ harness }) => {
  const { waiting, open } = await oneSyncs(harness);
  for (const volume of waiting) expect(harness.migrateObject(volume).phase).toBe('AwaitingDetach');
  open();
  await harness.eviction().result();
  expect(harness.world.migrates.map(({ phase }) => phase)).toEqual(['Completed', 'Completed', 'Completed']);
  const { journal } = harness.world;
  // The turn lasts until nothing is left to do on its nodes.
  const steps = [`ensureSourceMirror ${harness.n1}`, `markCutOver ${harness.n1}`, `removeSource ${harness.n1}`];
  expect(journal.filter((step) => steps.includes(step))).toEqual(Array(3).fill(steps).flat());
  await eventually(async () => expect((await harness.limiter().describe()).status.name).toBe('COMPLETED'));
});

test.concurrent('a limit that is raised meanwhile holds from the next look of those that wait on', async ({ harness }) => {
  const { world } = harness;
  const { waiting, open } = await oneSyncs(harness);
  // Another controller, with another configuration, does the same.
  world.syncLimits.perNode = 3;
  await eventually(() => {
    for (const volume of waiting) expect(harness.migrateObject(volume).phase).toBe('Syncing');
  });
  open();
  await harness.eviction().result();
});

test.concurrent('one that waits for its turn can be aborted, and the turn of one that was terminated goes to the next', async ({
  harness,
}) => {
  const { first, waiting, open } = await oneSyncs(harness);
  const [aborted = '', next = ''] = waiting;
  // Turns are not lost where the look for what has ended fails.
  harness.world.faults.fail('findEndedMigrations', 'Error', { times: 2, permanent: true });
  await harness.migration(aborted).abort();
  expect(await harness.migration(aborted).result()).toMatchObject({ outcome: 'Aborted' });
  await harness.migration(first).terminate();
  open();
  await harness.eviction().result();
  expect([first, next].map((volume) => harness.migrateObject(volume).phase)).toEqual(['Completed', 'Completed']);
});

test.concurrent('a parked migration gives its turn to others', async ({ harness }) => {
  const { world, n1 } = harness;
  world.syncLimits.perNode = 1;
  const other = harness.volume('a');
  world.addVolume(other, n1);
  world.faults.fail('ensureSourceMirror', 'NotPermitted', { message: 'somebody else has it', times: 1, permanent: true });
  await harness.cordon();
  await eventually(() => expect(world.migrates.map(({ phase }) => phase).sort()).toEqual(['Completed', 'NeedsAttention']));
  await harness.migration(world.migrates.find(({ phase }) => phase === 'NeedsAttention')!.ref.volume).retry();
  await harness.eviction().result();
  expect(world.migrates.map(({ phase }) => phase)).toEqual(['Completed', 'Completed']);
});

/** Two volumes of n1, of which one may sync at a time: one syncs to n2, the other waits for its turn to sync to n3. */
async function oneWaitsForAnother(harness: Harness): Promise<{ other: string; open: () => void }> {
  const { world, n1, n2, n3 } = harness;
  world.syncLimits.perNode = 1;
  world.addNode(n3);
  await harness.startAgent(n3);
  const gate = world.faults.gate(`awaitSync ${n1}`);
  await harness.migrate();
  await gate.reached;
  world.node(n2).cordoned = true;
  const other = harness.volume('a');
  world.addVolume(other, n1);
  await harness.migrate(other);
  await eventually(() => expect(harness.migrateObject(other).message).toMatch(`waits for its turn to sync from ${n1} to ${n3}`));
  return { other, open: gate.open };
}

test.concurrent('a migration whose target has died gives its turn to others, and takes one again when its agent is back', async ({
  harness,
}) => {
  const { world, n2, n3, data } = harness;
  const { other, open } = await oneWaitsForAnother(harness);
  await harness.stopAgent(n2);
  world.reboot(n2);
  open();
  expect(await harness.migration(other).result()).toMatchObject({ outcome: 'Completed' });
  expect(world.volumes.get(other)?.affinity).toBe(n3);
  expect(harness.migrateObject()).toMatchObject({ phase: 'Syncing', message: `waits for the agent on ${n2}` });

  await harness.startAgent(n2);
  expect(await harness.migration().result()).toMatchObject({ outcome: 'Completed' });
  expect(world.volumes.get(data)?.affinity).toBe(n2);
});

test.concurrent('a migration whose ends do not reach each other gives its turn to others, and goes on when they do', async ({
  harness,
}) => {
  const { world, n2, n3, data } = harness;
  const { other, open } = await oneWaitsForAnother(harness);
  world.node(n2).storageCut = true;
  open();
  expect(await harness.migration(other).result()).toMatchObject({ outcome: 'Completed' });
  expect(world.volumes.get(other)?.affinity).toBe(n3);

  world.node(n2).storageCut = false;
  expect(await harness.migration().result()).toMatchObject({ outcome: 'Completed' });
  expect(world.volumes.get(data)?.affinity).toBe(n2);
  expect(harness.migrateObject()).toMatchObject({ pairing: 1 });
});

test.concurrent('a migration whose volume somebody holds on to at the hand-over gives its turn to others', async ({ harness }) => {
  const { world, n1, data } = harness;
  world.syncLimits.perNode = 1;
  const held = `switchObjects ${data}`;
  world.faults.fail(held, 'PersistentVolumeRefused', { message: 'it is attached', times: 1000, permanent: true });
  // One that is parked, as it is when this lasts, gives its turn back in any case.
  const parking = world.faults.gate('reportPhase NeedsAttention');
  await harness.migrate();
  await eventually(() => expect(harness.migrateObject().message).toMatch('it is attached'));
  const other = harness.volume('a');
  world.addVolume(other, n1);
  await harness.migrate(other);
  expect(await harness.migration(other).result()).toMatchObject({ outcome: 'Completed' });
  expect(harness.migrateObject().phase).toBe('CuttingOver');

  world.faults.mend(held);
  parking.open();
  await harness.migration().retry();
  expect(await harness.migration().result()).toMatchObject({ outcome: 'Completed' });
});

/** `data` has the only turn of its node and is held in a step; others wait for theirs. No drain looks after them. */
async function othersWait(harness: Harness, step: string): Promise<{ others: string[]; open: () => void }> {
  const { world, n1, data } = harness;
  world.syncLimits.perNode = 1;
  const gate = world.faults.gate(`${step} ${data}`);
  await harness.migrate();
  await gate.reached;
  const others = [harness.volume('a'), harness.volume('b')];
  for (const volume of others) {
    world.addVolume(volume, n1);
    await harness.migrate(volume);
    await eventually(() => expect(harness.migrateObject(volume)).toMatchObject({ reason: 'WaitingForTurn' }));
  }
  return { others, open: gate.open };
}

const haveMoved = (harness: Harness, volumes: readonly string[]) =>
  eventually(() => expect(volumes.map((volume) => harness.migrateObject(volume).phase)).toEqual(volumes.map(() => 'Completed')));

test.concurrent('the turn of one that was terminated goes to the next also while several ask for theirs all the time', async ({
  harness,
}) => {
  const { others, open } = await othersWait(harness, 'awaitSync');
  await harness.migration().terminate();
  open();
  await haveMoved(harness, others);
});

test.concurrent('the turn of one that was terminated in its cut-over goes to the next when the run after it has ended', async ({
  harness,
}) => {
  const { others, open } = await othersWait(harness, 'switchObjects');
  await harness.migration().terminate();
  open();
  expect(await (await harness.migrate()).result()).toMatchObject({ outcome: 'Completed' });
  await haveMoved(harness, others);
});

import { expect } from 'vitest';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ shortTimings: true, longHistoryEvents: 20 });

test.concurrent('a drain whose workflows begin a new history all the time moves every volume, and hears of every end', async ({
  harness,
}) => {
  const { world, n1, n2, data } = harness;
  const volumes = [data, ...['a', 'b'].map((name) => harness.volume(name))];
  for (const volume of volumes.slice(1)) world.addVolume(volume, n1);
  await harness.cordon();
  await harness.eviction().result();
  expect(volumes.map((volume) => world.volumes.get(volume)?.affinity)).toEqual([n2, n2, n2]);
  expect(world.migrates).toHaveLength(3);
});

test.concurrent('a migration that waits under one history after the other keeps its followers and can be aborted', async ({ harness }) => {
  const { world, data } = harness;
  world.volumes.get(data)!.heldBy = ['pod default/db-0'];
  await harness.cordon();
  await eventually(() => expect(harness.migrateObject().phase).toBe('AwaitingDetach'));
  const first = (await harness.migration().describe()).runId;
  for (let look = 0; look < 8; look++) {
    await harness.migration().lookAgain();
    const seen = world.journal.length;
    await eventually(() => expect(world.journal.length).toBeGreaterThan(seen));
  }
  expect((await harness.migration().describe()).runId).not.toBe(first);
  await harness.migration().abort();
  await harness.eviction().result();
  expect(harness.migrateObject()).toMatchObject({ phase: 'Aborted', abortedByPerson: true });
});

/** Returns when the migration of the volume has begun another history. */
async function beginsAnew(harness: Harness, volume?: string): Promise<void> {
  const migration = harness.migration(volume);
  const { runId } = await migration.describe();
  await eventually(async () => {
    await migration.lookAgain();
    expect((await migration.describe()).runId).not.toBe(runId);
  });
}

test.concurrent('a proven copy beside its users is not compared again by the runs that follow', async ({ harness }) => {
  const { world, n1, n2, data } = harness;
  Object.assign(world.volumes.get(data)!, { heldBy: ['pod default/db-0'], online: true });
  await harness.migrate();
  const ready = () => eventually(() => expect(harness.migrateObject().message).toMatch(/^has a proven copy/));
  await ready();
  for (let history = 0; history < 3; history++) await beginsAnew(harness);
  await ready();
  world.volumes.get(data)!.heldBy = [];
  await harness.migration().lookAgain();
  await eventually(() => expect(harness.migrateObject().phase).toBe('Completed'));
  expect(world.volumes.get(data)?.affinity).toBe(n2);
  expect(world.node(n1).compared).toEqual(['everything']);
});

test.concurrent('the volumes of a pod leave one node with one turn, also where each takes longer than a history', async ({ harness }) => {
  const { world, n1, n2, data } = harness;
  const log = harness.volume('log');
  world.addVolume(log, n1);
  world.bind([data, log]);
  world.syncLimits.perNode = 1;
  let verifying = world.faults.gate(`verifyMirror ${n1}`);
  await harness.cordon();
  for (const round of ['the first', 'the second']) {
    await verifying.reached;
    const waiting = [data, log].find((volume) => harness.migrateObject(volume).phase !== 'Verifying')!;
    await beginsAnew(harness, waiting);
    const { open } = verifying;
    verifying = world.faults.gate(`verifyMirror ${n1}`);
    open();
    if (round === 'the second') verifying.open();
  }
  await harness.eviction().result();
  expect([data, log].map((volume) => world.volumes.get(volume)?.affinity)).toEqual([n2, n2]);
  expect(world.node(n1).compared).toEqual(['everything', 'everything']);
});

test.concurrent('one that waited for its turn under several histories, and then for a pod, keeps no turn', async ({ harness }) => {
  const { world, n1, data } = harness;
  world.syncLimits.perNode = 1;
  const [first, other] = [harness.volume('first'), harness.volume('other')];
  for (const volume of [first, other]) world.addVolume(volume, n1);
  const syncing = world.faults.gate(`awaitSync ${first}`);
  await harness.migrate(first);
  await syncing.reached;
  await harness.migrate();
  await eventually(() => expect(harness.migrateObject().message).toMatch('waits for its turn'));
  await beginsAnew(harness);
  world.volumes.get(data)!.heldBy = ['pod default/db-0'];
  await eventually(async () => {
    await harness.migration().lookAgain();
    expect(harness.migrateObject().message).toBe('waits for pod default/db-0 to let go');
  });
  syncing.open();
  await eventually(() => expect(harness.migrateObject(first).phase).toBe('Completed'));
  await harness.migrate(other);
  await eventually(() => expect(harness.migrateObject(other).phase).toBe('Completed'));
});

import { expect } from 'vitest';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ longHistoryEvents: 20 });

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

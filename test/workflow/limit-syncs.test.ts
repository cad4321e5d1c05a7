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
    for (const volume of waiting)
      expect(harness.migrateObject(volume).message).toMatch(/^waits for its turn to sync from .* \(at most 1 a node/);
  });
  return { first, waiting, open: gate.open };
}

test('volumes of a node sync one after the other where one may sync at a time, and all move', async ({ harness }) => {
  const { waiting, open } = await oneSyncs(harness);
  for (const volume of waiting) expect(harness.migrateObject(volume).phase).toBe('AwaitingDetach');
  open();
  await harness.eviction().result();
  expect(harness.world.migrates.map(({ phase }) => phase)).toEqual(['Completed', 'Completed', 'Completed']);
  const steps = harness.world.journal.filter((step) => /^(ensureSourceMirror|removeSource) /.test(step)).map((step) => step.split(' ')[0]);
  expect(steps).toEqual(Array(3).fill(['ensureSourceMirror', 'removeSource']).flat());
  await eventually(async () => expect((await harness.limiter().describe()).status.name).toBe('COMPLETED'));
});

test('one that waits for its turn can be aborted, and the turn of one that was terminated goes to the next', async ({ harness }) => {
  const { first, waiting, open } = await oneSyncs(harness);
  const [aborted = '', next = ''] = waiting;
  await harness.migration(aborted).abort();
  expect(await harness.migration(aborted).result()).toMatchObject({ outcome: 'Aborted' });
  await harness.migration(first).terminate();
  open();
  await harness.eviction().result();
  expect([first, next].map((volume) => harness.migrateObject(volume).phase)).toEqual(['Completed', 'Completed']);
});

test('a parked migration gives its turn to others', async ({ harness }) => {
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

/** A drain whose workflows are terminated or reset: it ends as it would have. */
import { describe, expect } from 'vitest';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ shortTimings: true });

function expectEmptied({ world, n1, n2 }: Harness): void {
  for (const [volume, { affinity, replicas }] of world.volumes) {
    expect([affinity, ...replicas.keys()], volume).toEqual([n2, n2]);
    expect(world.node(n2).volumes.get(volume)?.content).toBe(`bits of ${volume}`);
  }
  expect(world.node(n1).volumes.size).toBe(0);
  expect(world.migrates.map(({ phase }) => phase)).toEqual([...world.volumes.keys()].map(() => 'Completed'));
  expect(world.copies).toBe(world.volumes.size);
}

describe.concurrent('an eviction of a node that is', () => {
  test.for([
    ['terminated', 'observeNodeEviction'],
    ['terminated', 'reportNodeEviction'],
    ['terminated', 'startMigration'],
    ['reset', 'observeNodeEviction'],
    ['reset', 'reportNodeEviction'],
    ['reset', 'startMigration'],
  ] as const)('%s when it is about to %s empties the node all the same, whatever the late step does', async ([way, step], { harness }) => {
    const { world, n1 } = harness;
    world.addVolume(harness.volume('log'), n1);
    const late = world.faults.gate(step, { once: true });
    await harness.cordon();
    await late.reached;
    if (way === 'reset') await harness.reset(harness.eviction());
    else {
      await harness.eviction().terminate();
      await harness.cordon();
    }
    await harness.eviction().result();
    expectEmptied(harness);
    late.open();
    await late.left;
    await harness.signals.evictNode(n1);
    await harness.eviction().result();
    expectEmptied(harness);
  });

  test('reset when it is over finds nothing to do', async ({ harness }) => {
    await harness.cordon();
    await harness.eviction().result();
    await harness.reset(harness.eviction());
    await harness.eviction().result();
    expectEmptied(harness);
  });
});

describe.concurrent('the turns to sync, when their workflow is', () => {
  test.for(['terminated', 'reset'] as const)('%s while one syncs and another waits, are handed out again', async (way, { harness }) => {
    const { world, n1 } = harness;
    world.syncLimits.perNode = 1;
    world.addVolume(harness.volume('log'), n1);
    const gate = world.faults.gate('awaitSync');
    await harness.cordon();
    await gate.reached;
    await eventually(() => expect(world.migrates.some(({ message }) => message.startsWith('waits for its turn'))).toBe(true));
    if (way === 'reset') await harness.reset(harness.limiter());
    else await harness.limiter().terminate();
    gate.open();
    await harness.eviction().result();
    expectEmptied(harness);
    await eventually(async () => expect((await harness.limiter().describe()).status.name).toBe('COMPLETED'));
  });

  test('reset when all have ended, ends again: what it was asked for then is found to run no more', async ({ harness }) => {
    await harness.cordon();
    await harness.eviction().result();
    await harness.limiter().result();
    await harness.reset(harness.limiter());
    await harness.limiter().result();
    expectEmptied(harness);
  });
});

import { expect } from 'vitest';
import { expectGivenUp } from './expect-given-up.ts';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest({ skippedTime: true });

test('the eviction of a pod whose volume finds no other node within ten minutes is given up, without anybody', async ({ harness }) => {
  const { world, n2 } = harness;
  world.node(n2).freeBytes = MiB;
  await harness.evictPod();
  await eventually(() => expect(harness.migrateObject().phase).toBe('Reserving'));
  await expectGivenUp(harness, 'found no other node for 10 minutes: no node can take');
});

test('the eviction of a pod whose volume is used for ten minutes by another pod, which stays, is given up', async ({ harness }) => {
  const { world, data } = harness;
  world.volumes.get(data)!.heldBy = ['pod default/other'];
  await harness.evictPod();
  await expectGivenUp(harness, 'has not come forward for 10 minutes: waits for pod default/other to let go');
});

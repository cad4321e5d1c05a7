import { expect } from 'vitest';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest({ skippedTime: true });

test('the eviction of a pod whose volume finds no other node within ten minutes is given up, without anybody', async ({ harness }) => {
  const { world, n1, n2, data, pod } = harness;
  world.node(n2).freeBytes = MiB;
  await harness.evictPod();
  await eventually(() => expect(harness.migrateObject().phase).toBe('Reserving'));
  await harness.podEviction().result();
  expect(world.events.at(-1)).toMatch(new RegExp(`PodEvictionStopped ${pod.name}: .*found no other node for 10 minutes: no node can take`));
  expect(await harness.migration().result()).toMatchObject({ outcome: 'Aborted' });
  expect(world.volumes.get(data)?.affinity).toBe(n1);
});

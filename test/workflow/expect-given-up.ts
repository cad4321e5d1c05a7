import { expect } from 'vitest';
import type { Harness } from './harness.ts';

/** The eviction of the harness's pod ends, its volume is as it was, and pods may start there again. @param why a part of a regular expression. */
export async function expectGivenUp(harness: Harness, why: string): Promise<void> {
  const { world, n1, data, pod } = harness;
  await harness.podEviction().result();
  const told = world.events.filter((event) => event.includes(pod.name)).at(-1);
  expect(told).toMatch(new RegExp(`^PodEvictionStopped ${pod.name}: the volumes stay on ${n1}: ${data} ${why}`));
  expect(world.evictedPods.get(pod.uid)).toMatchObject({ label: 'completed', marked: new Set() });
  expect(await harness.migration().result()).toMatchObject({ outcome: 'Aborted' });
  expect(world.volumes.get(data)?.affinity).toBe(n1);
  expect(world.node(n1).volumes.get(data)).toMatchObject({ active: true });
}

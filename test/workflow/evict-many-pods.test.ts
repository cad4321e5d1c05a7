import { expect } from 'vitest';
import { workflowId } from '../../core/contracts/names.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest();

/** A move costs the server most of a second, so there are not more; test/cluster/memory.test.ts moves a hundred volumes in one drain. */
const PODS = 20;

test('many pods that are evicted at once all have their volumes moved, also those whose first sync fails: none is stuck', {
  timeout: 120_000,
}, async ({ bed, harness }) => {
  const { world, n1, n2, id } = harness;
  world.node(n1).cordoned = false;
  const evictions = Array.from({ length: PODS }, (_, index) => {
    const volume = harness.volume(`v${index}`);
    world.addVolume(volume, n1);
    const pod = { namespace: 'default', name: `db-${index}-${id}`, uid: `uid-${index}-${id}` };
    world.evictedPods.set(pod.uid, { node: n1, marked: new Set([volume]), label: 'start' });
    return { pod, node: n1, claims: [volume] };
  });
  const volumes = evictions.flatMap(({ claims }) => claims);
  const failing = [0, PODS / 2, PODS - 1].map((index) => `awaitSync ${volumes[index]}`);
  for (const step of failing) world.faults.fail(step, 'CommandFailed');

  await Promise.all(evictions.map((eviction) => harness.signals.evictPod(eviction)));
  const { workflow } = bed.environment.client;
  await Promise.all(evictions.map(({ pod }) => workflow.getHandle(workflowId.evictPod(pod.uid)).result()));
  expect([...world.faults.met].sort()).toEqual(failing.toSorted());
  expect(volumes.filter((volume) => world.volumes.get(volume)?.affinity !== n2)).toEqual([]);
  expect(world.migrates.map(({ phase }) => phase)).toEqual(Array(PODS).fill('Completed'));
  expect([...world.evictedPods.values()].map(({ label }) => label)).toEqual(Array(PODS).fill('completed'));
});

import { expect } from 'vitest';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ skippedTime: true });

const placeOf = ({ world, data }: Harness) => world.volumes.get(data)?.affinity;
const eventsOfNode = ({ world }: Harness) =>
  world.events.filter((event) => event.startsWith('Eviction')).map((event) => event.split(' ')[0]);

/** Cordons n1, whose volumes are to wait for ten minutes. */
async function cordonForAWhile(harness: Harness): Promise<void> {
  harness.world.evictionDelaySeconds = 600;
  await harness.cordon();
  await eventually(() => expect(eventsOfNode(harness)).toEqual(['EvictionDelayed']));
}

test('a node that stays cordoned is emptied once the delay is over', async ({ bed, harness }) => {
  await cordonForAWhile(harness);
  expect(harness.world.events[0]).toMatch(/: the volumes move from 20\S+Z on, unless it is uncordoned before$/);
  expect(await harness.evictionDetails()).toContain('its volumes move from 20');
  await bed.environment.sleep('9 minutes');
  expect(harness.world.migrates).toEqual([]);
  await harness.eviction().result();
  expect(placeOf(harness)).toBe(harness.n2);
  expect(eventsOfNode(harness)).toEqual(['EvictionDelayed', 'EvictionStarted', 'EvictionCompleted']);
});

test('a node that is back before has nothing moved, and its eviction ends', async ({ bed, harness }) => {
  await cordonForAWhile(harness);
  await bed.environment.sleep('9 minutes');
  await harness.cordon(false);
  await harness.eviction().result();
  expect(harness.world.migrates).toEqual([]);
  expect(eventsOfNode(harness)).toEqual(['EvictionDelayed']);
});

test('a node that is cordoned again has all of the delay before it', async ({ bed, harness }) => {
  await cordonForAWhile(harness);
  await bed.environment.sleep('9 minutes');
  await harness.cordon(false);
  await harness.eviction().result();
  await harness.cordon();
  await bed.environment.sleep('9 minutes');
  expect(harness.world.migrates).toEqual([]);
  await harness.eviction().result();
  expect(placeOf(harness)).toBe(harness.n2);
});

test('a delay outlives the controller', async ({ bed }) => {
  const harness = await bed.harness({ ownController: true });
  await cordonForAWhile(harness);
  await harness.stopController();
  await harness.startController();
  await bed.environment.sleep('9 minutes');
  expect(harness.world.migrates).toEqual([]);
  await harness.eviction().result();
  expect(placeOf(harness)).toBe(harness.n2);
  await harness.stop();
});

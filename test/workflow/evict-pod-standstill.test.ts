import { describe, expect, vi } from 'vitest';
import { expectGivenUp } from './expect-given-up.ts';
import type { Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ impatient: true });

/** The node that the volume is copied to dies in the midst of the copy, for good. */
async function loseTarget(harness: Harness): Promise<void> {
  const { world, n1, n2 } = harness;
  const gate = world.faults.gate(`awaitSync ${n1}`);
  await harness.evictPod();
  await gate.reached;
  await harness.stopAgent(n2);
  world.reboot(n2);
  gate.open();
}

describe.concurrent('the eviction of a pod whose volume does not come forward is given up', { timeout: 120_000 }, () => {
  test('where the agent of its node is away', async ({ harness }) => {
    await harness.stopAgent(harness.n1);
    await harness.evictPod();
    await expectGivenUp(harness, `has not come forward for .*: waits for the agent on ${harness.n1}`);
  });

  test('where the node that it is copied to dies, and no other has room', async ({ harness }) => {
    const { n2, world } = harness;
    await loseTarget(harness);
    await expectGivenUp(harness, 'has not come forward for ');
    expect(world.messages).toContainEqual(expect.stringMatching(`^waits for ${n2} .*, for no other node can take the volume`));
  });

  test('but not while a sync gets on, however slowly', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const gate = world.faults.gate(`awaitSync ${n1}`);
    await harness.evictPod();
    await gate.reached;
    let looks = 0;
    Object.defineProperty(harness.migrateObject(), 'syncedBytes', { get: () => ++looks, enumerable: true });
    // A look a second, and what stands is given up after ten.
    await vi.waitFor(() => expect(looks).toBeGreaterThan(11), { timeout: 90_000, interval: 50 });
    gate.open();
    await harness.podEviction().result();
    expect(world.volumes.get(data)?.affinity).toBe(n2);
  });
});

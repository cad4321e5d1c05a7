import { describe, expect } from 'vitest';
import { expectMoved } from './expect-moved.ts';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest({ impatient: true });

/** Also where the share of a lost node is still there. */
function expectAwayTo({ world, n1, data }: Harness, target: string): void {
  expect(world.node(target).volumes.get(data)).toMatchObject({ content: `bits of ${data}`, active: true });
  expect(world.volumes.get(data)).toMatchObject({ affinity: target, replicas: new Map([[target, 8 * MiB]]) });
  expect(world.node(n1).volumes.has(data)).toBe(false);
}

/** Begins to move the volume to n2. @param others nodes that could take it as well. @returns what lets it sync. */
async function beginSync(harness: Harness, others: readonly string[] = [harness.n3]): Promise<() => void> {
  const { world, n1 } = harness;
  const gate = world.faults.gate(`awaitSync ${n1}`);
  await harness.migrate();
  await gate.reached;
  for (const node of others) {
    world.addNode(node);
    await harness.startAgent(node);
  }
  return gate.open;
}

/** Each of them waits out two moves. */
describe.concurrent('a target', { timeout: 120_000 }, () => {
  test('that is not reached for too long is given up for another, with the reason', async ({ harness }) => {
    const { world, n2, n3, data } = harness;
    const open = await beginSync(harness);
    world.node(n2).storageCut = true;
    open();
    await harness.migration().result();
    expectMoved(harness, undefined, n3);
    expect(world.events).toContain(`TargetGivenUp ${data}`);
    expect(harness.migrateObject()).toMatchObject({ pairing: 2 });
    expect(world.messages).toContain(`${n2} is given up for ${n3}: it has not been reached for 2 s`);
    // Its agent was there: nothing is left for its sweep.
    expect([world.node(n2).volumes.size, world.node(n2).mirrors.size, world.node(n2).reservations.size]).toEqual([0, 0, 0]);
  });

  test('whose agent is away for too long is given up for another, and its share left for that to remove', async ({ harness }) => {
    const { world, n2, n3, data } = harness;
    const open = await beginSync(harness);
    await harness.stopAgent(n2);
    world.reboot(n2);
    open();
    await harness.migration().result();
    expectAwayTo(harness, n3);
    expect(world.messages).toContain(`${n2} is given up for ${n3}: its agent has been away for 2 s`);
    expect(world.node(n2).volumes.has(data)).toBe(true);
    expect(world.node(n2).reservations.size).toBe(0);
  });

  test('is waited for, and that is said, where no other node can take the volume', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const open = await beginSync(harness, []);
    world.node(n2).storageCut = true;
    open();
    const said = `waits for ${n2} (it has not been reached for 2 s), for no other node can take the volume: ${n1} SourceNode, ${n2} TargetLost`;
    await eventually(() => expect(world.messages).toContain(said));
    expect(world.node(n2).reservations.has(data)).toBe(true);
    world.node(n2).storageCut = false;
    await harness.migration().result();
    expectMoved(harness);
    expect(harness.migrateObject()).toMatchObject({ pairing: 1 });
  });

  test('that all volumes of a pod lose is given up for one other node', async ({ harness }) => {
    const { world, n1, n2, n3, data } = harness;
    const log = harness.volume('log');
    world.addVolume(log, n1);
    world.bind([data, log]);
    const gate = world.faults.gate(`awaitSync ${n1}`);
    await harness.cordon();
    await gate.reached;
    await eventually(() => expect([data, log].map((volume) => harness.migrateObject(volume).target?.node)).toEqual([n2, n2]));
    world.addNode(n3);
    await harness.startAgent(n3);
    world.node(n2).storageCut = true;
    gate.open();
    await harness.eviction().result();
    for (const volume of [data, log]) {
      expect(world.volumes.get(volume)).toMatchObject({ affinity: n3, replicas: new Map([[n3, 8 * MiB]]) });
      expect(world.node(n3).volumes.get(volume)).toMatchObject({ content: `bits of ${volume}`, active: true });
    }
  });

  test('that dies once the volume is closed, before its point of no return, is given up for another', async ({ harness }) => {
    const { world, n1, n2, n3 } = harness;
    world.addNode(n3).freeBytes = 0;
    await harness.startAgent(n3);
    const gate = world.faults.gate(`markCutOver ${n1}`);
    await harness.migrate();
    await gate.reached;
    expect(world.node(n1).volumes.get(harness.data)?.active).toBe(false);
    world.node(n3).freeBytes = world.node(n2).freeBytes;
    await harness.stopAgent(n2);
    world.reboot(n2);
    gate.open();
    await harness.migration().result();
    expectAwayTo(harness, n3);
  });

  test('is not given up after the point of no return: it has the volume', async ({ harness }) => {
    const { world, n2, n3 } = harness;
    const gate = world.faults.gate(`markCutOver ${n2}`);
    const open = await beginSync(harness);
    open();
    await gate.reached;
    await harness.stopAgent(n2);
    world.reboot(n2);
    gate.open();
    const looks = () => world.journal.filter((step) => step === 'observeVolume').length;
    const before = looks();
    // A look each second at least.
    await eventually(() => expect(looks()).toBeGreaterThan(before + 5));
    expect(world.node(n3).reservations.size).toBe(0);
    await harness.startAgent(n2);
    await harness.migration().result();
    expectMoved(harness);
    // It looked no more often for that it could not leave.
    const { events } = await harness.migration().history();
    const waits = (events ?? []).flatMap(({ timerStartedEventAttributes }) => timerStartedEventAttributes?.startToFireTimeout ?? []);
    expect(Math.min(...waits.map((wait) => Number(wait.seconds ?? 0) * 1000 + (wait.nanos ?? 0) / 1e6))).toBeGreaterThanOrEqual(500);
  });

  test('an abort while another target is taken puts everything back', async ({ harness }) => {
    const { world, n1, n2, n3, data } = harness;
    const open = await beginSync(harness);
    const restore = world.faults.gate(`restoreSource ${n1}`);
    world.node(n2).storageCut = true;
    open();
    await restore.reached;
    await harness.migration().abort();
    restore.open();
    expect(await harness.migration().result()).toMatchObject({ outcome: 'Aborted' });
    expect(world.node(n1).volumes.get(data)).toMatchObject({ active: true });
    expect([n1, n2, n3].map((node) => world.node(node).mirrors.size + world.node(node).reservations.size)).toEqual([0, 0, 0]);
  });
});

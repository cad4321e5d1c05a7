import { describe, expect } from 'vitest';
import { expectMoved } from './expect-moved.ts';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest();

const eventsOf = ({ world, pod }: Harness) => world.events.filter((event) => event.startsWith('PodEviction') && event.includes(pod.name));
const evicted = ({ world, pod }: Harness) => world.evictedPods.get(pod.uid)!;

describe.concurrent('an evicted pod', () => {
  test('has its volumes moved to another node, though nobody has cordoned its own', async ({ harness }) => {
    const { n1, n2, data, world, pod } = harness;
    const log = harness.volume('log');
    world.addVolume(log, n1);
    await harness.evictPod([data, log]);
    await harness.podEviction().result();
    expectMoved(harness);
    expect(world.volumes.get(log)?.affinity).toBe(n2);
    expect(evicted(harness)).toMatchObject({ label: 'completed', marked: new Set() });
    expect(eventsOf(harness)).toEqual([
      `PodEvictionStarted ${pod.name}: moves ${data}, ${log} away from ${n1}`,
      `PodEvictionCompleted ${pod.name}: moved away from ${n1}: ${data}, ${log}`,
    ]);
    expect((await harness.migration().describe()).searchAttributes).toMatchObject({ Trigger: ['pod-eviction'] });
  });

  test('whose volume is used again by a pod that slipped through has it moved once that goes, and says so meanwhile', async ({
    harness,
  }) => {
    const { world, data, n2 } = harness;
    world.volumes.get(data)!.heldBy = ['pod default/other'];
    await harness.evictPod();
    await eventually(() => expect(harness.migrateObject().message).toBe('waits for pod default/other to let go'));
    expect(evicted(harness).marked.size).toBe(1);
    world.volumes.get(data)!.heldBy = [];
    await harness.migration().lookAgain();
    await harness.podEviction().result();
    expect(world.volumes.get(data)?.affinity).toBe(n2);
  });

  test('on a node with the label that keeps its volumes leaves them there, and that is told', async ({ harness }) => {
    const { world, n1, data } = harness;
    world.node(n1).disabled = true;
    await harness.evictPod();
    await harness.podEviction().result();
    expect(world.migrates).toEqual([]);
    expect(world.volumes.get(data)?.affinity).toBe(n1);
    expect(evicted(harness)).toMatchObject({ label: 'completed', marked: new Set() });
    expect(eventsOf(harness)).toEqual([expect.stringMatching(/^PodEvictionStopped .*has label hwameistor.io\/eviction=disable$/)]);
  });

  test('whose volume is kept has it left there, nothing begun, and told why', async ({ harness }) => {
    const { world, n1, data, pod } = harness;
    world.volumes.get(data)!.stays = { kind: 'kept', why: 'somebody says so' };
    await harness.evictPod();
    await harness.podEviction().result();
    expect(world.migrates).toEqual([]);
    expect(evicted(harness)).toMatchObject({ label: 'completed', marked: new Set() });
    expect(eventsOf(harness)).toEqual([`PodEvictionStopped ${pod.name}: the volumes stay on ${n1}: ${data} is kept (somebody says so)`]);
  });

  test('without volumes on its node has its eviction end without a word', async ({ harness }) => {
    harness.world.volumes.clear();
    await harness.evictPod();
    await harness.podEviction().result();
    expect(eventsOf(harness)).toEqual([]);
    expect(evicted(harness).label).toBe('completed');
  });
});

describe.concurrent('the eviction of a pod is taken back, and everything is as it was', () => {
  test('when its node gets the label while the volume syncs', async ({ harness }) => {
    const { world, n1 } = harness;
    world.node(n1).cordoned = false;
    const before = world.snapshot();
    const gate = world.faults.gate('awaitSync');
    await harness.evictPod();
    await gate.reached;
    world.node(n1).disabled = true;
    await harness.tellPodEviction();
    await harness.podEviction().result();
    expect(await harness.migration().result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
    gate.open();
    world.node(n1).disabled = false;
    expect(world.snapshot()).toEqual(before);
    expect(evicted(harness)).toMatchObject({ label: 'completed', marked: new Set() });
  });

  test('when somebody takes the mark off the claim', async ({ harness }) => {
    const { world, n1, data } = harness;
    const gate = world.faults.gate('awaitSync');
    await harness.evictPod();
    await gate.reached;
    evicted(harness).marked.clear();
    await harness.migration().lookAgain();
    gate.open();
    expect(await harness.migration().result()).toMatchObject({ outcome: 'Aborted' });
    await harness.podEviction().result();
    expect(world.volumes.get(data)?.affinity).toBe(n1);
    expect(harness.migrateObject().message).toBe(`no longer wanted: no eviction of a pod on ${n1} goes on`);
    expect(eventsOf(harness).at(-1)).toMatch(
      new RegExp(`^PodEvictionStopped .*: somebody took the mark of the eviction off the claim of ${data}$`),
    );
  });

  test('when a person aborts the move of one of its volumes: all stay together', async ({ harness }) => {
    const { world, n1, data } = harness;
    const log = harness.volume('log');
    world.addVolume(log, n1);
    const [gate, other] = [world.faults.gate(`awaitSync ${data}`), world.faults.gate(`awaitSync ${log}`)];
    await harness.evictPod([data, log]);
    await Promise.all([gate.reached, other.reached]);
    await harness.migration().abort();
    await harness.podEviction().result();
    expect(await harness.migration(log).result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
    for (const held of [gate, other]) held.open();
    expect([data, log].map((volume) => world.volumes.get(volume)?.affinity)).toEqual([n1, n1]);
    expect(eventsOf(harness).at(-1)).toMatch(/^PodEvictionStopped .*a person aborted the move of data/);
  });

  test('when somebody takes the mark off the claim of one of its volumes: all stay together', async ({ harness }) => {
    const { world, n1, data } = harness;
    const log = harness.volume('log');
    world.addVolume(log, n1);
    world.bind([data, log]);
    const gate = world.faults.gate(`awaitSync ${log}`);
    await harness.evictPod([data, log]);
    const waits = expect.stringContaining(`waits for volume ${log} (Syncing)`);
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'AwaitingDetach', message: waits }));
    evicted(harness).marked.delete(log);
    await harness.migration(log).lookAgain();
    await harness.podEviction().result();
    gate.open();
    for (const volume of [data, log]) {
      expect(await harness.migration(volume).result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
      expect(world.volumes.get(volume)?.affinity).toBe(n1);
    }
    expect(eventsOf(harness).at(-1)).toMatch(/^PodEvictionStopped .*took the mark of the eviction off the claim of log/);
  });

  test('when a step of its migration fails for good: its successors start where the volume is', async ({ harness }) => {
    const { world, n1, data } = harness;
    world.node(n1).volumes.get(data)!.hasSnapshots = true;
    await harness.evictPod();
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    await harness.tellPodEviction();
    await harness.podEviction().result();
    expect(await harness.migration().result()).toMatchObject({ outcome: 'Aborted' });
    expect(eventsOf(harness).at(-1)).toMatch(/^PodEvictionStopped .* cannot move: SnapshotOnVolume/);
    expect(world.volumes.get(data)?.affinity).toBe(n1);
  });

  test('but not when the move is past its point of no return', async ({ harness }) => {
    const { world, n1 } = harness;
    const gate = world.faults.gate('switchObjects');
    await harness.evictPod();
    await gate.reached;
    world.node(n1).disabled = true;
    await harness.tellPodEviction();
    await harness.podEviction().result();
    gate.open();
    expect(await harness.migration().result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness);
    expect(eventsOf(harness).at(-1)).toMatch(new RegExp(`=disable; but for ${harness.data}$`));
  });
});

describe.concurrent('the eviction of a pod', () => {
  test('goes on where it was after it was terminated', async ({ harness }) => {
    const gate = harness.world.faults.gate('awaitSync');
    await harness.evictPod();
    await gate.reached;
    await harness.podEviction().terminate();
    await harness.tellPodEviction();
    gate.open();
    await harness.podEviction().result();
    expectMoved(harness);
    expect(harness.world.migrates).toHaveLength(1);
    expect(evicted(harness).label).toBe('completed');
  });

  test('and a drain of its node move the volume once', async ({ harness }) => {
    const { world } = harness;
    const gate = world.faults.gate('awaitSync');
    await harness.evictPod();
    await gate.reached;
    await harness.cordon();
    await eventually(() => expect(world.journal.filter((step) => step === 'startMigration')).toHaveLength(2));
    gate.open();
    await Promise.all([harness.podEviction().result(), harness.eviction().result()]);
    expectMoved(harness);
    expect(world.migrates).toHaveLength(1);
  });

  test('goes on by itself where the drain that it had joined is taken back', async ({ harness }) => {
    const { world } = harness;
    const gate = world.faults.gate('awaitSync', { once: true });
    await harness.cordon();
    await gate.reached;
    await harness.evictPod();
    await eventually(() => expect(world.journal.filter((step) => step === 'startMigration')).toHaveLength(2));
    await harness.cordon(false);
    await harness.eviction().result();
    gate.open();
    await harness.podEviction().result();
    expectMoved(harness);
    expect(world.migrates.map(({ trigger, phase }) => `${trigger} ${phase}`)).toEqual(['node-drain Aborted', 'pod-eviction Completed']);
  });

  test('shows in its details what moves where, and why it waits', async ({ harness }) => {
    const { world, data, n2, pod } = harness;
    world.node(n2).freeBytes = MiB;
    await harness.evictPod();
    await eventually(() => expect(harness.migrateObject().phase).toBe('Reserving'));
    await harness.tellPodEviction();
    await eventually(async () => expect(await harness.podEvictionDetails()).toContain(`- ${data}: Reserving: no node can take the volume`));
    expect(await harness.podEvictionDetails()).toContain(`pod **default/${pod.name}** was evicted`);
  });
});

import { describe, expect } from 'vitest';
import { expectMoved } from './expect-moved.ts';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest();

/** Nobody drains the node: what moves, moves because somebody asked. */
function uncordon({ world, n1 }: Harness): void {
  world.node(n1).cordoned = false;
}

function withdraw({ world, data }: Harness): void {
  world.requests.get(data)!.withdrawn = true;
}

describe.concurrent('a volume for which somebody made a LocalVolumeMigrate', () => {
  test('moves away from a node that nobody drains, and that object is the record', async ({ harness }) => {
    uncordon(harness);
    const { n1, data, world } = harness;
    const migration = await harness.request();
    expect(await migration.result()).toEqual({ volume: data, sourceNode: n1, outcome: 'Completed', abortedByPerson: false });
    expectMoved(harness);
    expect(world.migrates.map(({ ref }) => ref.uid)).toEqual([`uid-of-${data}-asked`]);
    expect((await migration.describe()).searchAttributes).toMatchObject({ Trigger: ['migrate-request'] });
  });

  test('moves on whether its node is cordoned, uncordoned or labelled meanwhile', async ({ harness }) => {
    const { world, n1 } = harness;
    uncordon(harness);
    const gate = world.faults.gate('awaitSync');
    const migration = await harness.request();
    await gate.reached;
    await harness.cordon();
    world.node(n1).disabled = true;
    await harness.cordon(false);
    await migration.lookAgain();
    gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    await harness.eviction().result();
    expectMoved(harness);
    expect(world.migrates).toHaveLength(1);
  });

  test('stays exactly as it was when the object is deleted while it syncs', async ({ harness }) => {
    const { world, data } = harness;
    uncordon(harness);
    const before = world.snapshot();
    const gate = world.faults.gate('awaitSync');
    const migration = await harness.request();
    await gate.reached;
    withdraw(harness);
    await migration.lookAgain();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
    gate.open();
    expect(harness.migrateObject()).toMatchObject({
      phase: 'Aborted',
      message: `no longer wanted: LocalVolumeMigrate ${data}-asked is deleted`,
    });
    expect(world.snapshot()).toEqual(before);
  });

  test('moves all the same where the object is deleted after the point of no return', async ({ harness }) => {
    uncordon(harness);
    const gate = harness.world.faults.gate('switchObjects');
    const migration = await harness.request();
    await gate.reached;
    withdraw(harness);
    await migration.lookAgain();
    gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness);
  });

  test('is not touched, and no other object is opened, where it was deleted before the run began', async ({ harness }) => {
    const { world, n2 } = harness;
    uncordon(harness);
    const gate = world.faults.gate('observeVolume');
    const migration = await harness.request();
    await gate.reached;
    withdraw(harness);
    gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'NothingToMove' });
    expect([world.migrates, [...world.node(n2).volumes]]).toEqual([[], []]);
  });

  test('is not touched where the object is deleted between the look and the opening', async ({ harness }) => {
    const { world } = harness;
    uncordon(harness);
    const gate = world.faults.gate('openMigration');
    const migration = await harness.request();
    await gate.reached;
    withdraw(harness);
    gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'NothingToMove' });
    expect(world.migrates).toEqual([]);
  });

  test('is moved by the drain that comes while it moves, in the same run', async ({ harness }) => {
    const { world, n2, data } = harness;
    uncordon(harness);
    const gate = world.faults.gate('awaitSync');
    await harness.request();
    await gate.reached;
    await harness.cordon();
    await eventually(() => expect(world.journal).toContain('startMigration'));
    gate.open();
    await harness.eviction().result();
    expect(world.volumes.get(data)?.affinity).toBe(n2);
    expect(world.migrates).toHaveLength(1);
  });

  test('goes on after its run was terminated, as it was asked for', async ({ harness }) => {
    const { world } = harness;
    uncordon(harness);
    const gate = world.faults.gate('awaitSync');
    const terminated = await harness.request();
    await gate.reached;
    await terminated.terminate();
    gate.open();
    expect(await (await harness.request()).result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness);
    expect(world.migrates).toHaveLength(1);
  });
});

describe.concurrent('suggested nodes', () => {
  test('are taken in their order, and what is wrong with the others is said to the end', async ({ harness }) => {
    const { world, n1, n2, n3 } = harness;
    uncordon(harness);
    world.addNode(n3);
    await harness.startAgent(n3);
    world.node(n2).freeBytes = MiB;
    const migration = await harness.request([n2, n3]);
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness, undefined, n3);
    expect(harness.migrateObject().message).toBe(`moved from ${n1} to ${n3} (unfit: ${n2} PoolFull)`);
  });

  test('that are unfit are named also while an agent is waited for', async ({ harness }) => {
    const { world, n2, n3 } = harness;
    uncordon(harness);
    world.addNode(n3);
    await harness.startAgent(n3);
    world.node(n2).freeBytes = MiB;
    const gate = world.faults.gate(`allocateEndpoint ${n3}`);
    const migration = await harness.request([n2, n3]);
    await gate.reached;
    await harness.stopAgent(n3);
    await migration.lookAgain();
    await eventually(() => expect(harness.migrateObject().message).toBe(`waits for the agent on ${n3} (unfit: ${n2} PoolFull)`));
    await harness.startAgent(n3);
    gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  });

  test('that all refuse are waited for, and others that are suggested meanwhile are taken', async ({ harness }) => {
    const { world, n2, n3, data } = harness;
    uncordon(harness);
    world.addNode(n3);
    await harness.startAgent(n3);
    world.node(n2).freeBytes = MiB;
    const migration = await harness.request([n2]);
    await eventually(() => expect(harness.migrateObject().message).toBe(`no node can take the volume: ${n2} PoolFull`));
    world.requests.get(data)!.suggested = [n3];
    await migration.lookAgain();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness, undefined, n3);
  });
});

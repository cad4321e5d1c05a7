import { describe, expect } from 'vitest';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest();

describe.concurrent('an abort before the point of no return leaves everything as it was', () => {
  test.for([
    ['while it looks at the source', 'observeVolume', 'n1'],
    ['while it reserves room', 'reserveTarget', undefined],
    ['while it prepares the source', 'allocateEndpoint', 'n1'],
    ['while it puts the mirror in', 'ensureSourceMirror', 'n1'],
    ['while it syncs', 'awaitSync', 'n1'],
    ['while it verifies', 'verifyMirror', 'n1'],
    ['while it closes the source', 'closeSource', 'n1'],
    ['while it is about to mark the source', 'markCutOver', 'n1'],
  ] as const)('%s, also when the step ends late', async ([, activity, node], { harness }) => {
    const before = harness.world.snapshot();
    const gate = harness.world.faults.gate(node ? `${activity} ${harness[node]}` : activity);
    const migration = await harness.migrate();
    await gate.reached;
    await migration.abort();
    // A step on a node is not waited for; one on the cluster is, lest it takes effect afterwards.
    if (!node) gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: true });
    expect(harness.world.snapshot()).toEqual(before);
    expect(harness.migrateObject()).toMatchObject({ phase: 'Aborted', abortedByPerson: true, message: 'a person aborted it' });

    gate.open();
    await harness.stopAgent(harness.n1);
    await harness.stopAgent(harness.n2);
    expect(harness.world.snapshot()).toEqual(before);
  });

  test('while it waits for a target', async ({ harness }) => {
    harness.world.node(harness.n2).freeBytes = MiB;
    const waiting = harness.world.snapshot();
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('Reserving'));
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
    expect(harness.world.snapshot()).toEqual(waiting);
  });

  test('while it waits for another target, also where the run that gave the last one up was terminated', async ({ harness }) => {
    const { world, n2 } = harness;
    world.node(n2).logicalBlockSizeBytes = 4096;
    const before = world.snapshot();
    const terminated = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().message).toMatch(`${n2} BlockSizeTooLarge`));
    expect((await terminated.describe()).searchAttributes).not.toHaveProperty('TargetNode');
    expect(await terminated.details()).toContain(`  - ${n2}: BlockSizeTooLarge`);
    await terminated.terminate();
    world.node(n2).freeBytes = 0;
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().message).toMatch(`${n2} PoolFull`));
    await migration.abort();
    await migration.result();
    world.node(n2).freeBytes = 1024 * MiB;
    expect(world.snapshot()).toEqual(before);
  });

  test('while it waits for the users of the volume', async ({ harness }) => {
    harness.world.volumes.get(harness.data)!.heldBy = ['pod default/db-0'];
    const waiting = harness.world.snapshot();
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('AwaitingDetach'));
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
    expect(harness.world.snapshot()).toEqual(waiting);
  });

  test('after the source was closed', async ({ harness }) => {
    const before = harness.world.snapshot();
    const { world, n1, data } = harness;
    const detach = world.faults.gate(`closeSource ${n1}`);
    const migration = await harness.migrate();
    await detach.reached;
    // Something passed the mirror, so the closed volume is verified once more.
    world.node(n1).mirrors.get(data)!.volumeSectors += 8;
    const verify = world.faults.gate(`verifyMirror ${n1}`);
    detach.open();
    await verify.reached;
    expect(world.node(n1).volumes.get(data)?.active).toBe(false);
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
    expect(world.snapshot()).toEqual(before);
    verify.open();
  });

  test('while it is parked', async ({ harness }) => {
    const before = harness.world.snapshot();
    harness.world.faults.fail('verifyMirror', 'NotPermitted', { permanent: true });
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: true });
    expect(harness.world.snapshot()).toEqual(before);
  });
});

describe.concurrent('a migration is taken back', () => {
  test('when a person cancels it in the Web UI', async ({ harness }) => {
    const before = harness.world.snapshot();
    const gate = harness.world.faults.gate('awaitSync');
    const migration = await harness.migrate();
    await gate.reached;
    await migration.cancel();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: true });
    expect(harness.world.snapshot()).toEqual(before);
  });

  test.for([
    ['is uncordoned', { cordoned: false }, 'is not cordoned'],
    ['gets the label that keeps its volumes', { disabled: true }, 'has label hwameistor.io/eviction=disable'],
  ] as const)('when its node %s, which is no person taking back this volume', async ([, change, reason], { harness }) => {
    const before = harness.world.snapshot();
    const { world, n1 } = harness;
    const gate = world.faults.gate('awaitSync');
    const migration = await harness.migrate();
    await gate.reached;
    Object.assign(world.node(n1), change);
    await migration.lookAgain();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
    expect(harness.migrateObject().message).toBe(`no longer wanted: node ${n1} ${reason}`);
    expect(world.snapshot()).toEqual(before);
  });

  test('when it is parked and its node is uncordoned', async ({ harness }) => {
    const { world, n1, data } = harness;
    world.node(n1).volumes.get(data)!.hasSnapshots = true;
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    world.node(n1).cordoned = false;
    await migration.lookAgain();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
  });

  test('at once when a step waits for an agent that is away: the source first, the target sweeps its share later', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const gate = world.faults.gate(`awaitSync ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    await harness.stopAgent(n2);
    world.reboot(n2);
    gate.open();
    await eventually(() => expect(harness.migrateObject().message).toMatch(/are not connected/));
    const { reservations } = world.node(n2);
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
    expect(harness.migrateObject().message).toBe(`a person aborted it; the agent on ${n2} is away and removes its share when it returns`);
    expect(world.node(n1).mirrors.size + reservations.size).toBe(0);
    expect(world.node(n1).volumes.get(data)).toMatchObject({ content: `bits of ${data}`, active: true });

    await harness.startAgent(n2);
    expect(world.journal).not.toContain(`discardTarget ${n2}`);
  });

  test('until it is done, where a step of that fails for good at first', async ({ harness }) => {
    const before = harness.world.snapshot();
    const { world } = harness;
    const gate = world.faults.gate('awaitSync');
    const migration = await harness.migrate();
    await gate.reached;
    world.faults.fail('restoreSource', 'NotPermitted', { permanent: true });
    await migration.abort();
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'Aborting' }));
    await migration.retry();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: true });
    expect(world.snapshot()).toEqual(before);
  });
});

describe.concurrent('after the point of no return nothing is taken back', () => {
  test('also where the abort comes before the answer that the source is marked', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const gate = world.faults.gate(`markCutOver ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    world.node(n1).volumes.get(data)!.cutOverBy = harness.migrateObject().ref.uid;
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed', abortedByPerson: false });
    expect(world.volumes.get(data)?.affinity).toBe(n2);
    gate.open();
  });

  test.for([
    ['markCutOver', 'n2'],
    ['switchObjects', ''],
    ['removeSourceReplica', ''],
  ] as const)('by abort, cancel or uncordon during %s %s', async ([step, node], { harness }) => {
    const { world, n1, n2, data } = harness;
    const gate = world.faults.gate(node ? `${step} ${harness[node]}` : step);
    const migration = await harness.migrate();
    await gate.reached;
    world.node(n1).cordoned = false;
    await Promise.all([migration.abort(), migration.cancel(), migration.lookAgain()]);
    gate.open();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed', abortedByPerson: false });
    expect(world.node(n2).volumes.get(data)).toMatchObject({ content: `bits of ${data}`, active: true });
    expect(world.node(n1).volumes.has(data)).toBe(false);
  });

  test('when it is parked there: abort is ignored, retry completes', async ({ harness }) => {
    harness.world.faults.fail('switchObjects', 'NotPermitted', { permanent: true });
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    await migration.abort();
    await migration.cancel();
    expect(await migration.progress()).toMatchObject({ phase: 'NeedsAttention' });
    await migration.retry();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  });
});

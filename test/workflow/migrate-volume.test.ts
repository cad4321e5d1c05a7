import { describe, expect } from 'vitest';
import type { SkippedRanges } from '../../core/contracts/node-activities.ts';
import { expectMoved } from './expect-moved.ts';
import { eventually } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest();

describe.concurrent('a volume that nobody uses', () => {
  test('moves through all phases, and nothing is left behind but a history that lists find', async ({ harness }) => {
    const { n1, n2, data } = harness;
    const migration = await harness.migrate();
    expect(await migration.result()).toEqual({ volume: data, sourceNode: n1, outcome: 'Completed', abortedByPerson: false });
    expectMoved(harness);
    const phases = ['Pending', 'Preparing', 'Syncing', 'Verifying', 'CuttingOver', 'RemovingSource', 'Completed'];
    expect(harness.migrateObject().phases).toEqual(phases);
    const events = ['MigrationStarted', 'TargetReserved', 'SyncStarted', 'Verified', 'CuttingOver', 'VolumeMoved', 'MigrationCompleted'];
    expect(harness.world.events).toEqual(events.map((event) => `${event} ${data}`));
    const found = { Volume: [data], SourceNode: [n1], TargetNode: [n2], MigrationPhase: ['Completed'], Trigger: ['node-drain'] };
    expect((await migration.describe()).searchAttributes).toMatchObject(found);
    expect((await migration.history()).events?.length).toBeLessThanOrEqual(215);
  });

  test('has the hashes of both devices compared where that is wanted', async ({ harness }) => {
    harness.world.hashCheck = true;
    await (await harness.migrate()).result();
    const { sourceSha256, targetSha256 } = harness.migrateObject();
    expect(sourceSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(targetSha256).toBe(sourceSha256);
    expectMoved(harness);
  });

  test('stays on both nodes where the hashes differ', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    world.hashCheck = true;
    const gate = world.faults.gate(`dissolveMirror ${n2}`);
    await harness.migrate();
    await gate.reached;
    world.node(n2).volumes.get(data)!.content = 'other bits';
    gate.open();
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'CuttingOver' }));
    expect(harness.migrateObject().message).toMatch(/^HashMismatch: .*nothing was removed/);
    expect(world.node(n1).volumes.get(data)?.content).toBe(`bits of ${data}`);
    expect(world.volumes.get(data)?.affinity).toBe(n1);
  });
});

describe.concurrent('a migration that has to wait', () => {
  test('for a target says why each node refuses, and goes on when one has room', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    world.node(n2).freeBytes = MiB;
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().message).toBe(`no node can take the volume: ${n1} SourceNode, ${n2} PoolFull`));
    expect(world.events).toContain(`WaitingForTarget ${harness.data}`);
    expect(await migration.details()).toContain(`Reserving: no node can take the volume\n  - ${n1}: SourceNode\n  - ${n2}: PoolFull\n`);
    world.node(n2).cordoned = true;
    await migration.lookAgain();
    await eventually(() => expect(harness.migrateObject().message).toMatch(`${n2} NodeUnschedulable`));
    expect(await migration.details()).toContain(`  - ${n2}: NodeUnschedulable`);
    world.node(n2).cordoned = false;

    world.node(n2).freeBytes = 100 * MiB;
    await migration.lookAgain();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  });

  test('for the users of the volume says who they are, and goes on when they have gone', async ({ harness }) => {
    const { world, data } = harness;
    world.volumes.get(data)!.heldBy = ['pod default/db-0'];
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('AwaitingDetach'));
    expect(await migration.progress()).toMatchObject({ phase: 'AwaitingDetach', message: 'waits for pod default/db-0 to let go' });

    world.write(data, harness.n1, ' and more');
    world.volumes.get(data)!.heldBy = [];
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('for somebody who has the volume open although the API says it is free', async ({ harness }) => {
    const { world, n1, data } = harness;
    const disk = world.node(n1).volumes.get(data)!;
    disk.open = true;
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().message).toBe('the volume is open on its node'));
    world.write(data, n1, ' and more');
    disk.open = false;
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('for an agent names it, and goes on when the agent is back', async ({ harness }) => {
    const { world, n2 } = harness;
    const gate = world.faults.gate('reserveTarget');
    const migration = await harness.migrate();
    await gate.reached;
    await harness.stopAgent(n2);
    gate.open();
    await eventually(() => expect(harness.migrateObject().phase).toBe('Preparing'));
    await migration.lookAgain();
    await eventually(() => expect(harness.migrateObject().message).toBe(`waits for the agent on ${n2}`));
    expect(await migration.details()).toContain(`waits for the agent on ${n2}`);

    await harness.startAgent(n2);
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness);
  });
});

describe.concurrent('what happens to a mirror', () => {
  test('a target that was restarted while it synced is set up again', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const gate = world.faults.gate(`awaitSync ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    await harness.stopAgent(n2);
    world.reboot(n2);
    gate.open();
    await eventually(() => expect(harness.migrateObject().message).toMatch(/are not connected: WFConnection$/));
    await harness.startAgent(n2);
    await migration.result();
    expect(harness.migrateObject().pairing).toBe(1);
    expectMoved(harness);
  });

  test('a target that does not answer because its thin pool is full is told of with that reason', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const gate = world.faults.gate(`awaitSync ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    Object.assign(world.node(n2), { storageCut: true, fullThinPool: 'hdd/thin' });
    gate.open();
    const told = `${n1} and ${n2} are not connected: WFConnection; thin pool hdd/thin on ${n2} is full, make room in it`;
    await eventually(() => expect(harness.migrateObject().message).toBe(told));
    Object.assign(world.node(n2), { storageCut: false, fullThinPool: undefined });
    await migration.result();
    expectMoved(harness);
  });

  test('a source that was restarted while it synced begins a new pairing, and all of it is copied again', async ({ harness }) => {
    const { world, n1, data } = harness;
    const gate = world.faults.gate(`awaitSync ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    world.reboot(n1);
    world.write(data, n1, ' and more');
    gate.open();
    await migration.result();
    expect(harness.migrateObject().pairing).toBe(2);
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('a write that passed it is found by the counters and sent to the target before the cut-over', async ({ harness }) => {
    const { world, n1, data } = harness;
    const gate = world.faults.gate(`closeSource ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    world.writePastMirror(data, n1, ' and more');
    gate.open();
    await migration.result();
    expect(world.journal.filter((step) => step.startsWith('verifyMirror'))).toHaveLength(3);
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('a source that was restarted before its mark begins a new pairing, and all of it is copied again', async ({ harness }) => {
    const { world, n1, data } = harness;
    const gate = world.faults.gate(`markCutOver ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    world.reboot(n1);
    world.write(data, n1, ' and more');
    gate.open();
    await migration.result();
    expect(harness.migrateObject().pairing).toBe(2);
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('ends that were restarted between their marks are cut over all the same: nobody could write', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const gate = world.faults.gate(`markCutOver ${n2}`);
    const migration = await harness.migrate();
    await gate.reached;
    world.reboot(n1);
    world.reboot(n2);
    expect(world.node(n1).volumes.get(data)?.active).toBe(false);
    gate.open();
    await migration.result();
    expect(harness.migrateObject().pairing).toBe(1);
    expectMoved(harness);
  });

  test('a target that was restarted during the verify is synced and verified again', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const gate = world.faults.gate(`verifyMirror ${n1}`);
    const migration = await harness.migrate();
    await gate.reached;
    world.reboot(n2);
    gate.open();
    await migration.result();
    expect(harness.migrateObject().pairing).toBe(1);
    expectMoved(harness);
  });

  test.for<[string, SkippedRanges, SkippedRanges | 'everything']>([
    ['is compared alone', [{ startSector: 8, sectors: 16 }], [{ startSector: 8, sectors: 16 }]],
    ['and nobody knows is compared with all the rest', 'unknown', 'everything'],
  ])('what a verify skips beneath a writer %s once the volume is closed', async ([, skipped, again], { harness }) => {
    const { world, n1 } = harness;
    world.node(n1).skips.push(skipped);
    await (await harness.migrate()).result();
    expect(world.node(n1).compared).toEqual(['everything', again]);
    const steps = world.journal.filter((step) => /^(verifyMirror|closeSource)/.test(step)).map((step) => step.split(' ')[0]);
    expect(steps).toEqual(['verifyMirror', 'closeSource', 'verifyMirror']);
    expectMoved(harness);
  });

  test('a copy that never becomes the same is for a person, and nothing is cut over', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const migration = await harness.migrate();
    const spoil = setInterval(() => {
      const copy = world.node(n2).volumes.get(data);
      if (copy?.content) copy.content = 'other bits';
    }, 1);
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    clearInterval(spoil);
    expect(harness.migrateObject()).toMatchObject({ parkedIn: 'Verifying', pointOfNoReturn: false });
    expect(harness.migrateObject().message).toMatch(/^VerifyIncomplete: 4096 bytes differ/);
    expect(world.node(n1).volumes.get(data)?.active).toBe(true);
    await migration.retry();
    await migration.result();
    expectMoved(harness);
  });

  test('a target with larger blocks is given up for another node', async ({ harness }) => {
    const { world, n2, n3 } = harness;
    world.node(n2).logicalBlockSizeBytes = 4096;
    world.addNode(n3);
    await harness.startAgent(n3);
    await (await harness.migrate()).result();
    expect(world.node(n2).volumes.size).toBe(0);
    expectMoved(harness, undefined, n3);
  });
});

describe.concurrent('a target that turns out to be none is given up for another node', () => {
  test.for([
    ['allocateEndpoint', 'NoFreePort'],
    ['allocateEndpoint', 'DrbdNotSupported'],
    ['ensureTargetMirror', 'PoolFull'],
    ['ensureTargetMirror', 'LogicalVolumeSizeMismatch'],
  ] as const)('where %s finds %s', async ([step, fault], { harness }) => {
    const { world, n2, n3 } = harness;
    world.addNode(n3);
    await harness.startAgent(n3);
    world.faults.fail(`${step} ${n2}`, fault);
    if (fault === 'DrbdNotSupported') world.faults.fail(`discardTarget ${n2}`, fault, { permanent: true });
    const migration = await harness.migrate();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expect(harness.migrateObject().phases).not.toContain('NeedsAttention');
    expect(world.node(n2).volumes.size).toBe(0);
    expectMoved(harness, undefined, n3);
  });

  test('but not for what its source lacks', async ({ harness }) => {
    const { world, n1, data } = harness;
    world.faults.fail(`allocateEndpoint ${n1}`, 'DrbdNotSupported', { permanent: true });
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'Preparing' }));
    expect(world.events.filter((event) => event === `WaitingForTarget ${data}`)).toEqual([]);
    await migration.retry();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  });
});

describe.concurrent('a source whose copy was removed after the cut-over', () => {
  test('is not removed, and the migration says so', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const gate = world.faults.gate(`releaseTarget ${n2}`);
    await harness.migrate();
    await gate.reached;
    world.node(n2).volumes.delete(data);
    gate.open();
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'RemovingSource' }));
    expect(harness.migrateObject().message).toBe(`LogicalVolumeMissing: releaseTarget: ${n2} has no ${data}`);
    expect(world.node(n1).volumes.get(data)?.content).toBe(`bits of ${data}`);
  });
});

describe.concurrent('a source that cannot be removed', () => {
  test('keeps neither the pods nor other volumes waiting, says why, and goes when the cause has gone', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    world.syncLimits.perNode = 1;
    world.faults.fail(`removeSource ${data}`, 'CommandFailed', { message: 'Operation cancelled', times: 100, permanent: true });
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'RemovingSource' }));
    expect(harness.migrateObject().message).toBe('CommandFailed: removeSource: Operation cancelled');
    expect(world.volumes.get(data)?.affinity).toBe(n2);

    const log = harness.volume('log');
    world.addVolume(log, n1);
    expect(await (await harness.migrate(log)).result()).toMatchObject({ outcome: 'Completed' });

    world.faults.mend(`removeSource ${data}`);
    await migration.retry();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness);
  });
});

describe.concurrent('a step that fails', () => {
  test('is tried again', async ({ harness }) => {
    harness.world.faults.fail(`ensureTargetMirror ${harness.n2}`, 'CommandFailed', { times: 2 });
    expect(await (await harness.migrate()).result()).toMatchObject({ outcome: 'Completed' });
  });

  test('because the API server refuses parks the migration at once: nobody waits for that', async ({ harness }) => {
    harness.world.faults.fail('reserveTarget', 'ApiRefused', { message: 'forbidden', permanent: true });
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().message).toBe('ApiRefused: reserveTarget: forbidden'));
    await migration.retry();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  });

  test('for good parks the migration with its reason, until retry', async ({ harness }) => {
    const { world } = harness;
    world.faults.fail('ensureSourceMirror', 'NotPermitted', { message: 'somebody else has it', times: 100, permanent: true });
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    expect(harness.migrateObject().message).toBe('NotPermitted: ensureSourceMirror: somebody else has it');
    expect(world.events).toContain(`NeedsAttention ${harness.data}`);
    expect(await migration.details()).toMatch(/NeedsAttention: NotPermitted.*\n.*last failure: NotPermitted.*\n.*`retry`/);

    world.faults.mend('ensureSourceMirror');
    await migration.retry();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expectMoved(harness);
  });
});

describe.concurrent('objects that lie', () => {
  test('park the volume they describe with a reason, and go on when they are put right', async ({ harness }) => {
    const { world, n1, data } = harness;
    world.node(n1).volumes.get(data)!.hasSnapshots = true;
    const migration = await harness.migrate();
    await eventually(() => expect(harness.migrateObject().message).toBe('SnapshotOnVolume: the logical volume has a snapshot: remove it'));
    await migration.lookAgain();
    world.node(n1).volumes.get(data)!.hasSnapshots = false;
    await migration.lookAgain();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    expect(world.events.filter((event) => event.startsWith('NeedsAttention'))).toHaveLength(1);
  });

  test('hold up no other volume, and nothing of theirs is touched', async ({ harness }) => {
    const { world, n1 } = harness;
    const node = world.node(n1);
    const [gone, shrunk, elsewhere] = ['gone', 'shrunk', 'elsewhere'].map((name) => harness.volume(name));
    for (const name of [gone!, shrunk!, elsewhere!]) world.addVolume(name, n1);
    node.volumes.delete(gone!);
    node.volumes.get(shrunk!)!.sizeBytes = 4 * MiB;
    world.volumes.set(elsewhere!, { ...world.volumes.get(elsewhere!)!, pool: 'nvme' });
    await Promise.all([gone!, shrunk!, elsewhere!].map((name) => harness.migrate(name)));
    const migration = await harness.migrate();
    expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
    const reasonOf = (volume: string) => harness.migrateObject(volume).message.split(':')[0];
    await eventually(() =>
      expect([gone!, shrunk!, elsewhere!].map(reasonOf)).toEqual([
        'LogicalVolumeMissing',
        'LogicalVolumeSizeMismatch',
        'VolumeGroupUnknown',
      ]),
    );
    expect(node.volumes.get(shrunk!)?.content).toBe(`bits of ${shrunk}`);
  });
});

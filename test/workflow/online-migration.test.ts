import { describe, expect } from 'vitest';
import { expectMoved } from './expect-moved.ts';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest();

/** A pod uses the volume, which may be copied beside it. */
function usedVolume({ world, data }: Harness) {
  const volume = world.volumes.get(data)!;
  volume.heldBy = ['pod default/db-0'];
  volume.online = true;
  return volume;
}

const ready = (harness: Harness) =>
  eventually(() =>
    expect(harness.migrateObject()).toMatchObject({
      phase: 'AwaitingDetach',
      message: `has a proven copy on ${harness.n2} that is kept alike, and waits for pod default/db-0 to let go`,
    }),
  );

describe.concurrent('a volume that is copied beside its users', () => {
  test('is proven before they have to go, and cut over without another copy or verify', async ({ harness }) => {
    const { world, n1 } = harness;
    const volume = usedVolume(harness);
    const migration = await harness.migrate();
    await ready(harness);
    const before = world.journal.length;
    volume.heldBy = [];
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness);
    const after = world.journal.slice(before).filter((step) => step.endsWith(n1));
    expect(after.filter((step) => /verifyMirror|ensureSourceMirror/.test(step))).toEqual([]);
  });

  test('is taken back beneath them', async ({ harness }) => {
    usedVolume(harness);
    const before = harness.world.snapshot();
    const migration = await harness.migrate();
    await ready(harness);
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
    expect(harness.world.snapshot()).toEqual(before);
  });

  test('is copied anew where something was written past its mirror', async ({ harness }) => {
    const { world, n1, data } = harness;
    const volume = usedVolume(harness);
    const migration = await harness.migrate();
    await ready(harness);
    world.writePastMirror(data, n1, ' and more');
    world.node(n1).mirrors.get(data)!.inserted = false;
    await migration.lookAgain();
    await eventually(() => expect(harness.migrateObject().pairing).toBe(2));
    await ready(harness);
    volume.heldBy = [];
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness, `bits of ${data} and more`);
  });

  test('has its target brought back after a restart, while it waits', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const volume = usedVolume(harness);
    const migration = await harness.migrate();
    await ready(harness);
    world.reboot(n2);
    await migration.lookAgain();
    // Its disk may not be what it was: it is compared again.
    await eventually(() => expect(world.node(n1).compared).toEqual(['everything', 'everything']));
    await ready(harness);
    volume.heldBy = [];
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness);
    expect(harness.migrateObject().pairing).toBe(1);
  });

  test('is not compared again after its target was only out of reach', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const volume = usedVolume(harness);
    const migration = await harness.migrate();
    await ready(harness);
    world.node(n2).storageCut = true;
    await migration.lookAgain();
    await eventually(() => expect(harness.migrateObject().message).toMatch('are not connected'));
    world.node(n2).storageCut = false;
    await migration.lookAgain();
    await ready(harness);
    volume.heldBy = [];
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness);
    expect(world.node(n1).compared).toEqual(['everything']);
  });

  test('is verified once it is closed, where no verify beside its users comes to an end', async ({ harness }) => {
    const { world } = harness;
    const volume = usedVolume(harness);
    world.restless = true;
    const migration = await harness.migrate();
    await eventually(() =>
      expect(harness.migrateObject()).toMatchObject({ phase: 'AwaitingDetach', message: 'waits for pod default/db-0 to let go' }),
    );
    world.restless = false;
    volume.heldBy = [];
    await migration.lookAgain();
    await migration.result();
    expectMoved(harness);
  });

  test('is for a person where the closed volume never becomes the same, also if a pod waits for it by then', async ({ harness }) => {
    const { world, n1, data } = harness;
    const volume = usedVolume(harness);
    const migration = await harness.migrate();
    await ready(harness);
    // Something may have been written past the mirror, and nothing makes the two alike.
    world.node(n1).mirrors.get(data)!.volumeSectors += 8;
    world.restless = true;
    const verifying = world.faults.gate(`verifyMirror ${n1}`);
    volume.heldBy = [];
    await migration.lookAgain();
    await verifying.reached;
    expect(world.node(n1).volumes.get(data)?.active).toBe(false);
    volume.heldBy = ['pod default/db-0'];
    await migration.lookAgain();
    verifying.open();
    await eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', reason: 'VerifyIncomplete' }));
    await migration.abort();
    expect(await migration.result()).toMatchObject({ outcome: 'Aborted' });
    expect(world.node(n1).volumes.get(data)?.active).toBe(true);
  });
});

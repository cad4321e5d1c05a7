import { describe, expect } from 'vitest';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest();

const placesOf = ({ world }: Harness, volumes: readonly string[]) => volumes.map((volume) => world.volumes.get(volume)?.affinity);
const placeOf = (harness: Harness, volume: string) => placesOf(harness, [volume])[0];
const eventsOfNode = ({ world }: Harness) =>
  world.events.filter((event) => event.startsWith('Eviction')).map((event) => event.split(' ')[0]);

describe.concurrent('a cordoned node', () => {
  test('is emptied, and its eviction ends', async ({ harness }) => {
    const { n2, data } = harness;
    const log = harness.volume('log');
    harness.world.addVolume(log, harness.n1);
    await harness.cordon();
    await harness.eviction().result();
    expect(placesOf(harness, [data, log])).toEqual([n2, n2]);
    expect(eventsOfNode(harness)).toEqual(['EvictionStarted', 'EvictionCompleted']);
  });

  test('is emptied but for the one volume of five whose objects lie, and waits for that until it is put right', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const volumes = ['a', 'b', 'c', 'd'].map((name) => harness.volume(name));
    for (const volume of volumes) world.addVolume(volume, n1);
    world.node(n1).volumes.get(harness.data)!.hasSnapshots = true;
    await harness.cordon();
    await eventually(() => expect(placesOf(harness, volumes)).toEqual([n2, n2, n2, n2]));
    await eventually(() => expect(harness.migrateObject().phase).toBe('NeedsAttention'));
    await harness.signals.nodeChanged(n1);
    await eventually(async () =>
      expect(await harness.evictionDetails()).toMatch(new RegExp(`\\| ${harness.data} \\|.*NeedsAttention.*snapshot`)),
    );
    expect((await harness.eviction().describe()).status.name).toBe('RUNNING');

    world.node(n1).volumes.get(harness.data)!.hasSnapshots = false;
    await harness.migration().retry();
    await harness.eviction().result();
    expect(placeOf(harness, harness.data)).toBe(n2);
  });

  test('with the label that keeps its volumes is left alone, until the label goes', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    world.node(n1).disabled = true;
    await harness.cordon();
    await harness.eviction().result();
    expect(world.migrates).toEqual([]);

    world.node(n1).disabled = false;
    await harness.signals.evictNode(n1);
    await harness.eviction().result();
    expect(placeOf(harness, harness.data)).toBe(n2);
  });

  test('is emptied but for the volumes that are kept or refused, and the Event says so', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const [kept, etcd] = [harness.volume('kept'), harness.volume('etcd')];
    world.addVolume(kept, n1).stays = { kind: 'kept', why: 'somebody says so' };
    world.addVolume(etcd, n1).stays = { kind: 'refused', why: 'etcd runs on it' };
    await harness.cordon();
    await harness.eviction().result();
    expect(placesOf(harness, [data, kept, etcd])).toEqual([n2, n1, n1]);
    expect(world.migrates.map(({ ref }) => ref.volume)).toEqual([data]);
    expect(world.events.at(-1)).toContain(`${kept} is kept (somebody says so); ${etcd} must not move (etcd runs on it; `);
  });

  test('keeps a volume that is to be kept from now on, exactly as it was, and its eviction ends', async ({ harness }) => {
    const { world, n1, data } = harness;
    const before = structuredClone(world.node(n1).volumes.get(data));
    const gate = world.faults.gate('awaitSync');
    await harness.cordon();
    await gate.reached;
    world.volumes.get(data)!.stays = { kind: 'kept', why: 'somebody says so' };
    await harness.migration().lookAgain();
    await harness.eviction().result();
    gate.open();
    expect(harness.migrateObject()).toMatchObject({ phase: 'Aborted', message: `no longer wanted: ${data} is kept (somebody says so)` });
    expect(world.node(n1).volumes.get(data)).toEqual(before);
  });

  test('without volumes has its eviction end without a word', async ({ harness }) => {
    harness.world.volumes.clear();
    await harness.cordon();
    await harness.eviction().result();
    expect(harness.world.events).toEqual([]);
  });

  test('that is deleted has what was begun brought to its end, and nothing else begun', async ({ harness }) => {
    const { world, n1, n2 } = harness;
    const gate = world.faults.gate('awaitSync');
    await harness.cordon();
    await gate.reached;
    world.node(n1).exists = false;
    world.addVolume(harness.volume('late'), n1);
    await harness.signals.nodeChanged(n1);
    gate.open();
    await harness.eviction().result();
    expect(placeOf(harness, harness.data)).toBe(n2);
    expect(placeOf(harness, harness.volume('late'))).toBe(n1);
  });

  test('to which a volume was moving when it was cordoned has that volume moved on', async ({ harness }) => {
    const { world, n1, n2, n3, data } = harness;
    world.addNode(n3);
    await harness.startAgent(n3);
    world.node(n3).freeBytes = 0;
    const gate = world.faults.gate('removeSource');
    await harness.cordon();
    await gate.reached;
    world.node(n3).freeBytes = world.node(n2).freeBytes;
    await harness.cordon(true, n2);
    await eventually(() => expect(world.journal.filter((step) => step === 'startMigration')).toHaveLength(2));
    gate.open();
    await Promise.all([harness.eviction(n1).result(), harness.eviction(n2).result()]);
    expect(placeOf(harness, data)).toBe(n3);
  });
});

describe.concurrent('a node that is uncordoned', () => {
  test('keeps the volumes that have not begun to cut over, exactly as they were; the others finish', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const early = harness.volume('early');
    const before = [world.node(n1).volumes.get(data), world.volumes.get(data)].map((value) => structuredClone(value));
    world.addVolume(early, n1);
    const [syncing, cuttingOver] = [world.faults.gate(`awaitSync ${data}`), world.faults.gate(`switchObjects ${early}`)];
    await harness.cordon();
    await Promise.all([syncing.reached, cuttingOver.reached]);
    await harness.cordon(false);
    await eventually(() => expect(harness.migrateObject().phase).toBe('Aborted'));
    cuttingOver.open();
    await harness.eviction().result();
    expect(placesOf(harness, [data, early])).toEqual([n1, n2]);
    expect([world.node(n1).volumes.get(data), world.volumes.get(data)]).toEqual(before);
    expect(world.node(n1).mirrors.size + world.node(n2).mirrors.size + world.node(n2).reservations.size).toBe(0);
    expect(eventsOfNode(harness)).toEqual(['EvictionStarted', 'EvictionStopped']);
  });

  test('and cordoned again at once is emptied all the same', async ({ harness }) => {
    const { n2, data } = harness;
    const gate = harness.world.faults.gate('awaitSync');
    await harness.cordon();
    await gate.reached;
    await harness.cordon(false);
    await harness.cordon();
    gate.open();
    await harness.eviction().result();
    expect(placeOf(harness, data)).toBe(n2);
  });

  test('and cordoned again while its moves are taken back is emptied once they are', async ({ harness }) => {
    const { world, n2, data } = harness;
    const [sync, restore] = [world.faults.gate('awaitSync'), world.faults.gate('restoreSource')];
    await harness.cordon();
    await sync.reached;
    await harness.cordon(false);
    await restore.reached;
    sync.open();
    await harness.cordon();
    restore.open();
    await harness.eviction().result();
    expect(world.migrates.map(({ phase }) => phase)).toEqual(['Aborted', 'Completed']);
    expect(placeOf(harness, data)).toBe(n2);
  });

  test('and cordoned several times in any rhythm is emptied', async ({ harness }) => {
    const { world, n2, data } = harness;
    for (let turn = 0; turn < 3; turn++) {
      await harness.cordon();
      await eventually(() => expect(world.journal.length).toBeGreaterThan(turn * 7));
      await harness.cordon(false);
    }
    await harness.cordon();
    await harness.eviction().result();
    expect(placeOf(harness, data)).toBe(n2);
  });
});

describe.concurrent('a volume whose move a person aborted', () => {
  test('stays until the node is uncordoned, and moves at the next cordon', async ({ harness }) => {
    const { world, n1, n2, data } = harness;
    const log = harness.volume('log');
    world.addVolume(log, n1);
    const gate = world.faults.gate(`awaitSync ${data}`);
    await harness.cordon();
    await gate.reached;
    await harness.migration().abort();
    await harness.eviction().result();
    expect(placesOf(harness, [data, log])).toEqual([n1, n2]);
    expect(world.events.at(-1)).toBe(`EvictionCompleted ${n1}: all volumes have moved to other nodes; held back by a person: ${data}`);

    await harness.signals.evictNode(n1);
    await harness.eviction().result();
    expect(placeOf(harness, data)).toBe(n1);

    gate.open();
    // The node was uncordoned and cordoned again.
    harness.migrateObject().holdReleased = true;
    await harness.signals.evictNode(n1);
    await harness.eviction().result();
    expect(placeOf(harness, data)).toBe(n2);
  });
});

describe.concurrent('an eviction whose workflow was terminated', () => {
  test('is continued by a new one, which joins what runs', async ({ harness }) => {
    const { world, n2, data } = harness;
    const gate = world.faults.gate('awaitSync');
    await harness.cordon();
    await gate.reached;
    await harness.eviction().terminate();
    await harness.cordon();
    await eventually(() => expect(world.journal.filter((step) => step === 'startMigration')).toHaveLength(2));
    gate.open();
    await harness.eviction().result();
    expect(placeOf(harness, data)).toBe(n2);
    expect(world.migrates).toHaveLength(1);
  });

  test('takes back, once its node is uncordoned, also what a terminated migration left', async ({ harness }) => {
    const { world, n1, data } = harness;
    const before = structuredClone(world.node(n1).volumes.get(data));
    const gate = world.faults.gate('awaitSync');
    await harness.cordon();
    await gate.reached;
    await Promise.all([harness.eviction().terminate(), harness.migration().terminate()]);
    world.node(n1).cordoned = false;
    await harness.signals.evictNode(n1);
    await harness.eviction().result();
    gate.open();
    expect(harness.migrateObject().phase).toBe('Aborted');
    expect(world.node(n1).volumes.get(data)).toEqual(before);
  });
});

/** The volumes of one pod leave a node together, each by a migration of its own. */
import { expect } from 'vitest';
import { eventually, type Harness } from './harness.ts';
import { workflowTest } from './workflow-test.ts';
import { MiB } from './world.ts';

const test = workflowTest({ shortTimings: true });

/** One pod uses `data` and these. @returns all of them. */
function bind(harness: Harness, ...names: readonly string[]): readonly string[] {
  const others = names.map((name) => harness.volume(name));
  for (const other of others) harness.world.addVolume(other, harness.n1);
  const all = [harness.data, ...others];
  harness.world.bind(all);
  return all;
}

function expectOn({ world, n1 }: Harness, target: string, volumes: readonly string[]): void {
  for (const volume of volumes) {
    expect(world.volumes.get(volume)).toMatchObject({ affinity: target, replicas: new Map([[target, 8 * MiB]]) });
    expect(world.node(target).volumes.get(volume)).toMatchObject({ content: `bits of ${volume}`, active: true });
    expect(world.node(n1).volumes.has(volume)).toBe(false);
  }
  for (const { mirrors, reservations } of world.nodes.values()) expect([mirrors.size, reservations.size]).toEqual([0, 0]);
}

const waits = (harness: Harness, volume: string, message: string) =>
  eventually(() => expect(harness.migrateObject(volume)).toMatchObject({ phase: 'AwaitingDetach', message }));

const provenAnd = ({ n2 }: Harness, what: string) => `has a proven copy on ${n2} that is kept alike, and ${what}`;

test.concurrent('none of them cuts over before all have a proven copy', async ({ harness }) => {
  const { world, n2 } = harness;
  const volumes = bind(harness, 'log', 'raw', 'temp');
  const [data, log, raw, temp] = volumes as [string, string, string, string];
  world.syncLimits = { perNode: 4, perCluster: 10 };
  const syncing = world.faults.gate(`awaitSync ${temp}`);
  await harness.cordon();
  for (const volume of [data, log, raw]) await waits(harness, volume, provenAnd(harness, `waits for volume ${temp} (Syncing)`));
  expect(world.journal).not.toContain('reportPhase CuttingOver');
  expect(world.events).toContain(`WaitingForOtherVolumes ${data}`);
  syncing.open();
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
});

test.concurrent('none of them cuts over while somebody holds one of them', async ({ harness }) => {
  const { world, n2 } = harness;
  const volumes = bind(harness, 'log');
  const [data, log] = volumes as [string, string];
  world.volumes.get(log)!.heldBy = ['pod default/backup'];
  world.volumes.get(log)!.online = true;
  await harness.cordon();
  await waits(harness, data, provenAnd(harness, `waits for volume ${log} (held by pod default/backup)`));
  await waits(harness, log, provenAnd(harness, 'waits for pod default/backup to let go'));
  world.volumes.get(log)!.heldBy = [];
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
});

test.concurrent('one that needs a person holds the others, which say why, and goes on with them', async ({ harness }) => {
  const { world, n1, n2 } = harness;
  const volumes = bind(harness, 'log');
  const [data, log] = volumes as [string, string];
  const disk = world.node(n1).volumes.get(log)!;
  disk.hasSnapshots = true;
  await harness.cordon();
  await eventually(() => expect(harness.migrateObject(data).message).toContain(`waits for volume ${log} (NeedsAttention: `));
  disk.hasSnapshots = false;
  await harness.migration(log).retry();
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
});

test.concurrent('a person who aborts one aborts all of them, until the node is uncordoned', async ({ harness }) => {
  const { world, n2 } = harness;
  const volumes = bind(harness, 'log', 'raw');
  const [data, log, raw] = volumes as [string, string, string];
  const before = world.snapshot();
  const syncing = world.faults.gate(`awaitSync ${raw}`);
  await harness.cordon();
  await waits(harness, data, provenAnd(harness, `waits for volume ${raw} (Syncing)`));
  await harness.migration(log).abort();
  await harness.eviction().result();
  for (const volume of volumes) expect(harness.migrateObject(volume)).toMatchObject({ phase: 'Aborted', abortedByPerson: true });
  expect(harness.migrateObject(data).message).toBe(`a person aborted the move of volume ${log}, which moves with it`);
  expect(world.snapshot()).toEqual(before);
  await harness.cordon();
  await harness.eviction().result();
  expect(world.migrates).toHaveLength(3);

  syncing.open();
  // The node was uncordoned and cordoned again.
  for (const volume of volumes) harness.migrateObject(volume).holdReleased = true;
  await harness.cordon();
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
});

test.concurrent('one that is wanted no longer takes the others back with it, and they say so; asked for anew they move', async ({
  harness,
}) => {
  const { world, n1, n2 } = harness;
  const volumes = bind(harness, 'log');
  const [data, log] = volumes as [string, string];
  world.node(n1).cordoned = false;
  const before = world.snapshot();
  const syncing = world.faults.gate(`awaitSync ${log}`);
  await Promise.all([harness.request(), harness.request([], log)]);
  await waits(harness, data, provenAnd(harness, `waits for volume ${log} (Syncing)`));
  world.requests.get(log)!.withdrawn = true;
  await harness.migration(log).lookAgain();
  expect(await harness.migration(log).result()).toMatchObject({ outcome: 'Aborted' });
  await harness.migration(data).lookAgain();
  expect(await harness.migration(data).result()).toMatchObject({ outcome: 'Aborted', abortedByPerson: false });
  expect(harness.migrateObject(data).message).toBe(
    `the move of volume ${log}, which moves with it, is taken back: no longer wanted: LocalVolumeMigrate ${log}-asked is deleted`,
  );
  expect(world.snapshot()).toEqual(before);
  syncing.open();
  await harness.cordon();
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
});

test.concurrent('of a drain, the others wait for one whose LocalVolumeMigrate is deleted until that is begun anew', async ({ harness }) => {
  const { world, n2 } = harness;
  const volumes = bind(harness, 'log');
  const [data, log] = volumes as [string, string];
  const syncing = world.faults.gate(`awaitSync ${log}`);
  await harness.cordon();
  await waits(harness, data, provenAnd(harness, `waits for volume ${log} (Syncing)`));
  harness.migrateObject(log).withdrawn = true;
  await harness.migration(log).lookAgain();
  await eventually(() => expect(world.migrates.map(({ phase }) => phase)).toContain('Aborted'));
  syncing.open();
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
  expect(world.migrates.map(({ phase }) => phase).sort()).toEqual(['Aborted', 'Completed', 'Completed']);
});

test.concurrent('once one of them has cut over the others follow, also if the node is wanted back', async ({ harness }) => {
  const { world, n2 } = harness;
  const volumes = bind(harness, 'log');
  const [data, log] = volumes as [string, string];
  const closing = world.faults.gate(`closeSource ${log}`);
  await harness.cordon();
  await eventually(() => expect(harness.migrateObject(data).phase).toBe('Completed'));
  await closing.reached;
  await harness.cordon(false);
  await harness.migration(log).lookAgain();
  closing.open();
  await harness.eviction().result();
  expectOn(harness, n2, volumes);
});

test.concurrent('where one of them cannot go to the target of the others, they go where it can', async ({ harness }) => {
  const { world, n2, n3 } = harness;
  const volumes = bind(harness, 'log');
  const [data, log] = volumes as [string, string];
  world.addNode(n3);
  await harness.startAgent(n3);
  world.syncLimits = { perNode: 4, perCluster: 10 };
  const allocating = world.faults.gate(`allocateEndpoint ${log}`);
  await harness.cordon();
  await waits(harness, data, provenAnd(harness, `waits for volume ${log} (Preparing)`));
  world.node(n2).logicalBlockSizeBytes = 4096;
  allocating.open();
  await harness.eviction().result();
  expect(world.messages).toContain(`${n2} is given up for ${n3}: volume ${log}, which moves with it, goes to ${n3}`);
  expectOn(harness, n3, volumes);
});

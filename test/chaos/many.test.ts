/** Many volumes at once: in one drain, in two drains of the same second, and where not all of them find room. */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { parseResyncs, type Resync } from '../../lab/bench/kernel-log.ts';
import { median } from '../../lab/bench/statistics.ts';
import { readMigrations } from '../../lab/demo/migrations.ts';
import { readOwnShare } from '../../lab/demo/own-share.ts';
import type { Machine } from '../../lab/machines/index.ts';
import { Cluster, eventually, type MigrateObject, POOL } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;
/** REHOME_SYNCS_PER_NODE where nobody sets it. */
const SYNCS_PER_NODE = 2;
const EXTENT_BYTES = 4 * 2 ** 20;

beforeEach(() => cluster.reset());

const named = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);

/** @returns the sha256 of each volume's whole device, by name. */
async function filledVolumes(node: string, names: readonly string[], size: string): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const name of names) hashes.set(name, await cluster.filledVolume(name, node, size));
  return hashes;
}

/** Each is where its replica is, bit by bit. */
async function expectArrived(volumes: ReadonlyMap<string, string>, places: readonly string[]): Promise<void> {
  for (const [volume, sha256] of volumes) {
    const node = await cluster.nodeOf(volume);
    expect(places, volume).toContain(node);
    expect(await cluster.sha256(volume, node), volume).toBe(sha256);
  }
}

async function migrationsOf(volumes: Iterable<string>): Promise<MigrateObject[]> {
  const wanted = new Set(volumes);
  return (await cluster.list<MigrateObject>('localvolumemigrates')).filter(({ spec }) => wanted.has(spec.volumeName));
}

interface Interval {
  readonly from: number;
  readonly to: number;
}

/** The most that last at one moment. There is one at which one of them begins. */
function mostAtOnce(intervals: readonly Interval[]): number {
  return Math.max(0, ...intervals.map(({ from }) => intervals.filter((other) => other.from <= from && from < other.to).length));
}

/** The most moves at once of all, or of those in which the node takes part: from the making of the mirror until nothing is copied any more. */
function movesAtOnce(migrations: readonly MigrateObject[], node?: string): number {
  const enters = ({ metadata, status }: MigrateObject, phase: string): number => {
    const time = Date.parse(status?.phaseTimes?.[phase] ?? '');
    if (Number.isNaN(time)) throw new Error(`${metadata.name} was never in phase ${phase}`);
    return time;
  };
  return mostAtOnce(
    migrations
      .filter(({ spec, status }) => node === undefined || [spec.sourceNode, status?.targetNode].includes(node))
      .map((migration) => ({ from: enters(migration, 'Preparing'), to: enters(migration, 'CuttingOver') })),
  );
}

/** The syncs of which the node is the source meanwhile. Its kernel's log has no room for those of twenty volumes: it is read on the way. */
async function syncsDuring<T>(
  machine: Machine,
  work: () => Promise<T>,
): Promise<{ readonly syncs: readonly Resync[]; readonly result: T }> {
  const read = async (): Promise<string[]> => {
    const { stdout } = await machine.exec("dmesg | grep -E 'Began resync|Syncer continues|Resync done' || true");
    return stdout.split('\n');
  };
  const earlier = new Set(await read());
  const lines = new Set<string>();
  const result = work();
  const ended = result.then(() => true);
  for (let last = false; !last; ) {
    last = await Promise.race([ended, sleep(5000, false)]);
    for (const line of await read()) if (!earlier.has(line)) lines.add(line);
  }
  return { syncs: parseResyncs([...lines].join('\n')), result: await result };
}

/** @returns seconds until n1 may be switched off. */
async function drainN1(): Promise<number> {
  const begun = Date.now();
  await lab.kubectl(['drain', 'n1', '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s'], { timeoutSeconds: 70 });
  await cluster.waitUntilEvacuated('n1', 600);
  return (Date.now() - begun) / 1000;
}

async function ownShares(volumes: readonly string[]): Promise<number[]> {
  const migrations = (await readMigrations(lab)).filter(({ volume }) => volumes.includes(volume));
  const shares: number[] = [];
  for (const migration of migrations) shares.push((await readOwnShare(lab, migration))!);
  return shares;
}

test('twenty volumes move in one drain, no more of them at once than a node may, and sooner than one after the other', {
  timeout: 900_000,
}, async () => {
  await cluster.filledVolume('single', 'n1', '8Mi');
  const secondsOfOne = await drainN1();
  await cluster.uncordon('n1');
  await eventually('n1 no longer Evacuated', 30, async () => (await cluster.evacuated('n1'))?.status === 'False');

  const volumes = await filledVolumes('n1', named('many', 20), '8Mi');
  const { syncs, result: seconds } = await syncsDuring(lab.machine('n1'), drainN1);

  const names = [...volumes.keys()];
  const [ofOne, ofEach] = [await ownShares(['single']), await ownShares(names)];
  console.log(`one volume: ${secondsOfOne.toFixed(1)} s in all, own share ${ofOne[0]?.toFixed(1)} s`);
  const [least, middle, most] = [Math.min(...ofEach), median(ofEach), Math.max(...ofEach)].map((share) => share.toFixed(1));
  const all = `${seconds.toFixed(1)} s in all, ${(seconds / names.length).toFixed(1)} s a volume`;
  console.log(`${names.length} volumes: ${all}, own share ${least} to ${most} s, median ${middle} s`);

  await expectArrived(volumes, ['n2', 'n3']);
  const migrations = await migrationsOf(names);
  for (const { spec, status } of migrations) {
    const sha256 = volumes.get(spec.volumeName);
    expect(status).toMatchObject({ phase: 'Completed', sourceSha256: sha256, targetSha256: sha256 });
  }
  expect(movesAtOnce(migrations)).toBe(SYNCS_PER_NODE);
  expect(syncs.length).toBeGreaterThanOrEqual(names.length);
  expect(mostAtOnce(syncs.map(({ beganAt, endedAt }) => ({ from: beganAt, to: endedAt })))).toBeLessThanOrEqual(SYNCS_PER_NODE);
  expect(seconds).toBeLessThan(names.length * secondsOfOne);
});

test('two nodes that are cordoned in the same second give nothing to each other, and their common target takes no more at once than it may', async () => {
  const ofN1 = await filledVolumes('n1', named('first', 3), '16Mi');
  const ofN2 = await filledVolumes('n2', named('second', 3), '16Mi');
  await Promise.all(['n1', 'n2'].map((node) => cluster.cordon(node)));
  await Promise.all(['n1', 'n2'].map((node) => cluster.waitUntilEvacuated(node, 240)));

  await expectArrived(new Map([...ofN1, ...ofN2]), ['n3']);
  const migrations = await migrationsOf([...ofN1.keys(), ...ofN2.keys()]);
  // One each: none has made a detour.
  expect(migrations.map(({ status }) => [status?.targetNode, status?.pairing])).toEqual(Array.from({ length: 6 }, () => ['n3', 1]));
  expect(movesAtOnce(migrations, 'n3')).toBe(SYNCS_PER_NODE);
});

describe('as many move at once as the controller is told', () => {
  test.each<[string, { node: number; cluster: number }, number]>([
    ['by the limit of a node', { node: 1, cluster: 10 }, 1],
    ['by the limit of the cluster', { node: 4, cluster: 3 }, 3],
  ])('%s', async (_, limits, expected) => {
    onTestFinished(() => cluster.restartController());
    await cluster.restartController({ REHOME_SYNCS_PER_NODE: `${limits.node}`, REHOME_SYNCS_PER_CLUSTER: `${limits.cluster}` });
    const volumes = await filledVolumes('n1', named('few', 4), '8Mi');
    await cluster.cordon('n1');
    await cluster.waitUntilEvacuated('n1', 240);
    await expectArrived(volumes, ['n2', 'n3']);
    expect(movesAtOnce(await migrationsOf(volumes.keys()))).toBe(expected);
  });
});

test('of volumes that find room for some only, those move; the rest waits with the reason of every node, and goes on by itself', async () => {
  const volumes = await filledVolumes('n1', named('some', 5), '16Mi');
  // Each takes four extents, and while it moves a fifth for its metadata: there is room for two and for one.
  await leaveFree('n2', 10);
  await leaveFree('n3', 5);
  await cluster.cordon('n1');
  const waiting = await eventually('three volumes that have moved, and two that wait', 180, async () => {
    const migrations = await migrationsOf(volumes.keys());
    const moved = migrations.filter(({ status }) => status?.phase === 'Completed');
    const waits = migrations.filter(({ status }) => status?.phase === 'Reserving' && /n2 PoolFull.*n3 PoolFull/.test(status.message ?? ''));
    return moved.length === 3 && waits.length === 2 ? waits.map(({ spec }) => spec.volumeName) : undefined;
  });
  const places = await Promise.all([...volumes.keys()].map((volume) => cluster.nodeOf(volume)));
  expect(places.toSorted()).toEqual(['n1', 'n1', 'n2', 'n2', 'n3']);
  expect((await cluster.evacuated('n1'))?.status).toBe('False');

  await removeFiller('n3');
  await cluster.waitUntilEvacuated('n1', 180);
  for (const volume of waiting) expect(await cluster.nodeOf(volume), volume).toBe('n3');
  await expectArrived(volumes, ['n2', 'n3']);
});

/** Until the end of the test, a logical volume of nobody's takes all but so many extents of the node's pool. */
async function leaveFree(node: string, extents: number): Promise<void> {
  onTestFinished(() => removeFiller(node));
  const free = `$(vgs --noheadings -o vg_free_count ${POOL} | tr -d ' ')`;
  await lab.machine(node).exec(`lvcreate -qq --yes --extents $(( ${free} - ${extents} )) --name filler ${POOL}`);
  await eventually(`an agent on ${node} that reports it`, 30, async () => {
    const { status } = await cluster.get<{ status: { pools: Record<string, { freeCapacityBytes: number }> } }>('localstoragenode', node);
    return status.pools[POOL]?.freeCapacityBytes === extents * EXTENT_BYTES;
  });
}

async function removeFiller(node: string): Promise<void> {
  await lab.machine(node).exec(`! lvs ${POOL}/filler > /dev/null 2>&1 || lvremove -qq --yes ${POOL}/filler`);
}

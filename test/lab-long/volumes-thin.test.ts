/** Thin volumes: they stay thin, take no more of the target's pool than of the source's, and go nowhere where a pool would owe too much. */
import { beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, nodeStorage, POOL, THIN_POOL } from '../lab/support.ts';
import { logicalVolume, moveFrom, waitsFor, withoutThinPool } from './volume-support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');
const MiB = 2 ** 20;

beforeEach(() => cluster.reset());

/** A raw thin volume on n1 of which an eighth was written to, in pieces all over it. @returns the sha256 of its whole device. */
async function thinVolume(name: string): Promise<string> {
  await lab.createVolume({ name, node: 'n1', size: '256Mi', fileSystem: 'block', thin: true });
  const piece = `dd if=/dev/urandom of=/dev/${POOL}/${name} bs=1M count=4 conv=notrunc,fsync`;
  await n1.exec(`for at in 0 31 62 93 124 155 200 252; do ${piece} seek=$at 2>/dev/null; done`, { timeoutSeconds: 60 });
  return cluster.sha256(name, 'n1');
}

const allocatedPercent = async (node: string, name: string): Promise<number> =>
  Number(await logicalVolume(lab.machine(node), name, 'data_percent'));

test('a thin volume is thin on its target too, with every bit and hardly more taken of the pool than before', async () => {
  const sha256 = await thinVolume('data');
  const before = await allocatedPercent('n1', 'data');
  expect(before).toBeGreaterThan(10);
  expect(before).toBeLessThan(20);

  const target = await moveFrom(cluster, 'n1', 'data');
  expect(await logicalVolume(lab.machine(target), 'data', 'segtype,pool_lv')).toMatch(new RegExp(`^thin\\s+${THIN_POOL}$`));
  expect(await cluster.sha256('data', target)).toBe(sha256);
  const after = await allocatedPercent(target, 'data');
  console.log(`allocated: ${before} % on the source, ${after} % on the target`);
  // DRBD copies the zeros around each written piece with it: 16 % where it was 12.5 %.
  expect(after).toBeLessThan(before + 6);
  expect(after).toBeGreaterThan(10);

  expect(await nodeStorage(n1)).toEqual([expect.stringMatching(`^${THIN_POOL}\\|`), ...(await poolTables())]);
  expect(await percentOfPool('n1')).toBe(0);
});

test('only what is allocated travels: far less than the size of the volume is received', async () => {
  await thinVolume('data');
  // A counter of the storage network: what DRBD sends of zeros is small, and no other mirror is up.
  const received = async (node: string): Promise<number> =>
    Number((await lab.machine(node).exec('cat /sys/class/net/eth0/statistics/rx_bytes')).stdout);
  const before = new Map(await Promise.all(['n2', 'n3'].map(async (node) => [node, await received(node)] as const)));
  const target = await moveFrom(cluster, 'n1', 'data');
  const bytes = (await received(target)) - before.get(target)!;
  console.log(`received: ${Math.round(bytes / MiB)} MiB of 256 MiB`);
  expect(bytes).toBeGreaterThan(32 * MiB);
  expect(bytes).toBeLessThan(96 * MiB);
});

test('an abort in the midst of its sync leaves a thin volume and all nodes as they were', async () => {
  const sha256 = await thinVolume('data');
  const storage = async (): Promise<string[][]> => (await Promise.all(lab.machines.map(nodeStorage))).map(withoutThinPool);
  const before = await storage();
  await n1.rate('20mbit');
  await cluster.cordon('n1');
  await eventually('a sync under way', 60, async () => ((await cluster.migration('data'))?.status?.progress?.syncedBytes ?? 0) > 0);
  await cluster.uncordon('n1');
  await cluster.reaches('data', 'Aborted', 60);
  expect(await storage()).toEqual(before);
  expect(await cluster.sha256('data', 'n1')).toBe(sha256);
  await n1.rate('off');
});

test('a thin volume without a pool that can take it waits with the reason of every node, and goes on by itself', async () => {
  const sha256 = await thinVolume('data');
  const [n2, n3] = [lab.machine('n2'), lab.machine('n3')];
  for (const machine of [n2, n3]) await machine.exec(['lvremove', '-qq', '--yes', `${POOL}/${THIN_POOL}`]);
  const makePool = (size: string): string => `lvcreate -qq --yes --type thin-pool --size ${size} --name ${THIN_POOL} ${POOL}`;
  await n2.exec(makePool('128M'));
  await eventually('agents that report their thin pools', 30, async () => {
    const nodes = await cluster.list<{ metadata: { name: string }; status: { pools: Record<string, { thinPool?: { size: number } }> } }>(
      'localstoragenodes',
    );
    const sizes = Object.fromEntries(nodes.map(({ metadata, status }) => [metadata.name, status.pools[POOL]?.thinPool?.size]));
    return sizes.n2 === 128 * MiB && sizes.n3 === undefined;
  });

  await cluster.cordon('n1');
  const waiting = await eventually('a migration that waits', 60, () =>
    waitsFor(cluster, 'data', /n2.*ThinPoolOvercommitted.*n3.*NoSuchThinPool/),
  );
  expect(waiting.status?.phase).toBe('Reserving');
  await n3.exec(makePool('1G'));
  await cluster.reaches('data', 'Completed');
  expect(await cluster.nodeOf('data')).toBe('n3');
  expect(await cluster.sha256('data', 'n3')).toBe(sha256);
});

test('a target killed in the midst of the sync comes back and goes on, and the volume is still thin', async () => {
  const sha256 = await thinVolume('data');
  await n1.rate('20mbit');
  await cluster.cordon('n1');
  await eventually('a sync under way', 60, async () => ((await cluster.migration('data'))?.status?.progress?.syncedBytes ?? 0) > 0);
  const target = (await cluster.migration('data'))!.status!.targetNode!;
  await lab.kill(target);
  await n1.rate('off');
  await lab.start(target);
  await cluster.reaches('data', 'Completed', 180);
  expect(await cluster.sha256('data', target)).toBe(sha256);
  expect(await allocatedPercent(target, 'data')).toBeLessThan(20);
});

/** The devices of n1's thin pool itself, as `nodeStorage` prints them. */
async function poolTables(): Promise<string[]> {
  const { stdout } = await n1.exec(`dmsetup table | grep ${THIN_POOL} | sort`);
  return stdout
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

async function percentOfPool(node: string): Promise<number> {
  return Number(await logicalVolume(lab.machine(node), THIN_POOL, 'data_percent'));
}

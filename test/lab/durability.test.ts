import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { Cluster, eventually } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const SIZE_MIB = 256;

beforeEach(() => cluster.reset());

/** A volume on n1 whose sync is some way on, and slow. */
async function syncUnderWay(): Promise<{ sha256: string; target: string }> {
  const sha256 = await cluster.filledVolume('data', 'n1', `${SIZE_MIB}Mi`);
  await lab.machine('n1').rate('80mbit');
  await cluster.cordon('n1');
  const target = await eventually('a third of the volume synced', 90, async () => {
    const status = (await cluster.migration('data'))?.status;
    return status?.phase === 'Syncing' && (status.progress?.syncedBytes ?? 0) > (SIZE_MIB / 3) * 2 ** 20 && status.targetNode;
  });
  return { sha256, target };
}

async function expectMoved(sha256: string): Promise<void> {
  await lab.machine('n1').rate('off');
  await cluster.waitUntilEvacuated('n1', 180);
  expect(await cluster.sha256('data', await cluster.nodeOf('data'))).toBe(sha256);
}

/** KiB that each resync of the source's mirrors set out to send, as its kernel logged them. */
async function resyncsKib(): Promise<number[]> {
  const { stdout } = await lab.machine('n1').exec('dmesg');
  return [...stdout.matchAll(/Began resync as SyncSource \(will sync (\d+) KB/g)].map((match) => Number(match[1]));
}

describe('with a sync under way', () => {
  test('the controller is killed for 30 s: the sync goes on from where it was and the drain completes', async () => {
    const { sha256 } = await syncUnderWay();
    const before = await resyncsKib();
    await lab.kill('controller');
    // The time of its absence is the fault itself, not a wait for anything.
    await sleep(30_000);
    await lab.start('controller');
    await expectMoved(sha256);
    expect((await resyncsKib()).length).toBe(before.length);
  });

  test("the target's whole node is killed: the sync resumes from its bitmap and the drain completes", async () => {
    const { sha256, target } = await syncUnderWay();
    await lab.kill(target);
    await lab.start(target);
    await expectMoved(sha256);
    const resumed = (await resyncsKib()).at(-1)!;
    expect(resumed).toBeGreaterThan(0);
    expect(resumed).toBeLessThan(SIZE_MIB * 1024 * 0.9);
  });
});

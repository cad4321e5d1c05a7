import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from './support.ts';
import { WritingPod } from './writing-pod.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

/** KiB that each resync of the source's mirrors set out to send, as its kernel logged them. */
async function resyncsKib(): Promise<number[]> {
  const { stdout } = await lab.machine('n1').exec('dmesg');
  return [...stdout.matchAll(/Began resync as SyncSource \(will sync (\d+) KB/g)].map((match) => Number(match[1]));
}

describe('with a sync under way', () => {
  test('the controller is killed for 30 s: the sync goes on from where it was and the drain completes', async () => {
    await WritingPod.with(cluster, async (pod) => {
      // Slow enough to last longer than the controller is away: 54 s for the four fifths that are left.
      await lab.machine('n1').rate('8mbit');
      await pod.drain();
      await pod.syncUnderWay();
      const before = await resyncsKib();
      await lab.kill('controller');
      // The time of its absence is the fault itself, not a wait for anything.
      await sleep(30_000);
      expect((await lab.machine('n1').exec('drbdsetup events2 --now')).stdout).toContain('replication:SyncSource');
      await lab.start('controller');
      await lab.machine('n1').rate('off');
      await pod.expectMoved();
      expect((await resyncsKib()).length).toBe(before.length);
    });
  });

  test("the target's whole node is killed: the sync resumes from its bitmap and the drain completes", async () => {
    await WritingPod.with(cluster, async (pod) => {
      await lab.machine('n1').rate('40mbit');
      await pod.drain();
      // DRBD writes its bitmap down by extents of 16 MiB, some time after they are copied: two of them are by then.
      const target = await pod.syncUnderWay(1 / 2);
      await lab.kill(target);
      await lab.start(target);
      await lab.machine('n1').rate('off');
      await pod.expectMoved();
      const resumed = (await resyncsKib()).at(-1)!;
      expect(resumed).toBeGreaterThan(0);
      expect(resumed).toBeLessThan((pod.sizeBytes / 1024) * 0.9);
    });
  });
});

test("Temporal's database is lost during the cut-over: it is rebuilt from the nodes and the objects, and the drain completes", async () => {
  await WritingPod.with(cluster, async (pod) => {
    await pod.drain();
    await cluster.reaches(pod.volume, 'CuttingOver');
    await lab.kill('temporal');
    await lab.loseTemporalDatabase();
    await lab.start('temporal');
    await pod.expectMoved();
  });
});

/** Moves beneath a running pod. What may happen to it meanwhile is in test/chaos. */
import { beforeEach, expect, test } from 'vitest';
import { Cluster, everything } from './support.ts';
import { WritingPod } from './writing-pod.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

/** Syncs and verifies that n1 has begun since it was started, as its kernel logged them. */
const copiesBegun = async (): Promise<number> =>
  Number((await lab.machine('n1').exec("dmesg | grep -cE 'Began resync|Starting Online Verify' || true")).stdout);

const restarts = async () =>
  (await lab.kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}'])).stdout;

test('a volume is copied beside its pod, which is down for the cut-over alone when it is drained', () =>
  WritingPod.with(cluster, async (pod) => {
    await pod.moveOnline();
    await pod.copyProven();
    const copies = await copiesBegun();
    const drainedAt = Date.now();
    await pod.drain();
    await pod.expectMoved();
    expect(await copiesBegun()).toBe(copies);
    expect(pod.longestStall(drainedAt)).toBeLessThan(30);
  }));

test('an abort takes the mirror out from under the running pod, which sees no error', () =>
  WritingPod.with(cluster, async (pod) => {
    const before = await everything(cluster);
    await lab.machine('n1').rate('16mbit');
    await pod.moveOnline();
    await pod.syncUnderWay();
    const abortedAt = Date.now();
    await cluster.uncordon('n1');
    await cluster.reaches(pod.volume, 'Aborted', 60);
    await pod.writesAgain();
    expect(await everything(cluster)).toEqual(before);
    expect(await restarts()).toBe('0');
    pod.expectNotHeldUp(abortedAt);
    await pod.expectUnmoved();
  }));

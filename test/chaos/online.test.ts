import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { Cluster, eventually, everything, POOL } from '../lab/support.ts';
import { WritingPod } from '../lab/writing-pod.ts';

const cluster = new Cluster();
const { lab } = cluster;

/** For how long a write of the pod may be held up by whatever happens to the copy, and the writer's own time and the emulation's. */
const STALL_SECONDS = 3;
const OWN_SECONDS = 1;

beforeEach(() => cluster.reset());

const restarts = async () =>
  (await lab.kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}'])).stdout;

test('a volume is copied beside its pod, which is down for the cut-over alone when it is drained', () =>
  WritingPod.with(cluster, async (pod) => {
    await pod.moveOnline();
    await pod.copyProven();
    const drainedAt = Date.now();
    await pod.drain();
    await pod.expectMoved();
    const { phaseTimes = {} } = (await cluster.migration(pod.volume))!.status!;
    expect(Date.parse(phaseTimes.Verifying!)).toBeLessThan(drainedAt);
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
    expect(pod.longestStall(abortedAt)).toBeLessThan(STALL_SECONDS + OWN_SECONDS);
    await pod.expectUnmoved();
  }));

describe('what takes the mirror away beneath a running pod voids the copy, and all of it is made anew', () => {
  const device = (volume: string) => `${POOL}/${volume}`;

  test('lvchange --refresh', () =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      await pod.copyProven();
      await lab.machine('n1').exec(['lvchange', '--refresh', device(pod.volume)]);
      await eventually('another pairing', 120, async () => ((await cluster.migration(pod.volume))?.status?.pairing ?? 0) > 1);
      await pod.copyProven();
      await pod.drain();
      await pod.expectMoved();
    }));

  test('lvchange --refresh right before the pod goes', () =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      await pod.copyProven();
      await lab.machine('n1').exec(['lvchange', '--refresh', device(pod.volume)]);
      await pod.writesAgain();
      await pod.drain();
      await pod.expectMoved();
    }));

  test('a reboot of the node', () =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      await pod.copyProven();
      await lab.kill('n1');
      await lab.start('n1');
      await pod.writesAgain();
      await pod.drain();
      await pod.expectMoved();
    }));

  test('lvextend, after which a person decides', () =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      await pod.copyProven();
      await lab.machine('n1').exec(['lvextend', '-L', '+4M', device(pod.volume)]);
      await pod.writesAgain();
      const { status } = await cluster.reaches(pod.volume, 'NeedsAttention', 120);
      expect(status?.reason).toBe('LogicalVolumeSizeMismatch');
      await lab.temporal(['workflow', 'signal', '--workflow-id', `migrate-${pod.volume}`, '--name', 'abort']);
      await cluster.reaches(pod.volume, 'Aborted', 60);
      await pod.writesAgain();
      await pod.expectUnmoved();
    }));
});

describe('no write of the pod is held up for more than 3 s', () => {
  interface Trouble {
    readonly what: string;
    readonly begin: (target: string, volume: string) => Promise<unknown>;
    readonly end: (target: string, volume: string) => Promise<unknown>;
  }
  const suspend = (command: string) => (target: string, volume: string) =>
    lab.machine(target).exec(`dmsetup ${command} ${POOL}-${volume.replaceAll('-', '--')}`);
  const TROUBLES: readonly Trouble[] = [
    { what: 'its link dies', begin: (target) => lab.machine(target).cut('storage'), end: (target) => lab.machine(target).heal() },
    { what: "the target's disk hangs", begin: suspend('suspend --noflush --nolockfs'), end: suspend('resume') },
    {
      what: "the target's kernel hangs",
      begin: async (target) => lab.machine(target).freeze(),
      end: async (target) => lab.machine(target).thaw(),
    },
    { what: 'the network is slow', begin: () => lab.machine('n1').rate('24mbit'), end: () => lab.machine('n1').rate('off') },
  ];

  test.each(TROUBLES)('when $what', ({ begin, end }) =>
    WritingPod.with(cluster, async (pod) => {
      await lab.machine('n1').rate('40mbit');
      await pod.moveOnline();
      const target = await pod.syncUnderWay();
      const begunAt = Date.now();
      await begin(target, pod.volume);
      // As long as the trouble lasts.
      await sleep(12_000);
      await end(target, pod.volume);
      await lab.machine('n1').rate('off');
      await pod.copyProven(180);
      const stall = pod.longestStall(begunAt);
      expect(stall).toBeLessThan(STALL_SECONDS + OWN_SECONDS);
      await pod.drain();
      await pod.expectMoved();
    }),
  );
});

import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { COLLECTOR, Collector } from '../../lab/demo/collector.ts';
import { DEVICE, deviceDeployment } from '../../lab/demo/workloads.ts';
import { Cluster, eventually, POOL } from '../lab/support.ts';
import { WritingPod } from '../lab/writing-pod.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

describe('what takes the mirror away beneath a running pod voids the copy, and all of it is made anew', () => {
  const device = (volume: string) => `${POOL}/${volume}`;

  /** A person has put right what needed them. */
  async function expectMovedByRetry(pod: WritingPod): Promise<void> {
    await lab.temporal(['workflow', 'signal', '--workflow-id', `migrate-${pod.volume}`, '--name', 'retry']);
    await pod.copyProven();
    await pod.drain();
    await pod.expectMoved();
  }

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

  test('a snapshot, which a person takes away', () =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      await pod.copyProven();
      const n1 = lab.machine('n1');
      await n1.exec(['lvcreate', '-qq', '--snapshot', '--size', '8M', '--name', 'yesterday', device(pod.volume)]);
      await pod.writesAgain();
      const { status } = await cluster.reaches(pod.volume, 'NeedsAttention', 120);
      expect(status?.reason).toBe('SnapshotOnVolume');
      await n1.exec(['lvremove', '-qq', '--yes', `${POOL}/yesterday`]);
      await expectMovedByRetry(pod);
    }));

  test('lvrename, which a person undoes', () =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      await pod.copyProven();
      const n1 = lab.machine('n1');
      const undo = `! lvs ${POOL}/renamed > /dev/null 2>&1 || lvrename -qq ${POOL} renamed ${pod.volume}`;
      onTestFinished(async () => void (await n1.exec(undo)));
      await n1.exec(['lvrename', '-qq', POOL, pod.volume, 'renamed']);
      await pod.writesAgain();
      const { status } = await cluster.reaches(pod.volume, 'NeedsAttention', 120);
      expect(status?.reason).toBe('LogicalVolumeMissing');
      await n1.exec(undo);
      await expectMovedByRetry(pod);
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

  /** As long as the trouble lasts. */
  const TROUBLE_MILLISECONDS = 12_000;

  /** @param recover waits until the move stands as before. */
  async function endure({ begin, end }: Trouble, pod: WritingPod, target: string, recover: () => Promise<unknown>): Promise<void> {
    const begunAt = Date.now();
    await begin(target, pod.volume);
    await sleep(TROUBLE_MILLISECONDS);
    await end(target, pod.volume);
    await lab.machine('n1').rate('off');
    await recover();
    pod.expectNotHeldUp(begunAt);
    await pod.drain();
    await pod.expectMoved();
  }

  test.each(TROUBLES)('when $what', (trouble) =>
    WritingPod.with(cluster, async (pod) => {
      await lab.machine('n1').rate('40mbit');
      await pod.moveOnline();
      const target = await pod.syncUnderWay();
      await endure(trouble, pod, target, () => pod.copyProven(180));
    }),
  );

  // Every write waits for both nodes then.
  test.each(TROUBLES)('while the proven copy is kept alike and $what', (trouble) =>
    WritingPod.with(cluster, async (pod) => {
      await pod.moveOnline();
      const target = await pod.copyProven();
      await endure(trouble, pod, target, () => pod.writesAgain());
    }),
  );
});

test('an application that rewrites every block again and again while they are copied and verified finds the last of each', async () => {
  const collector = await Collector.listen();
  onTestFinished(() => collector.close());
  await lab.createVolume({ name: REWRITTEN.volume, node: 'n1', size: REWRITTEN.size, fileSystem: 'block' });
  await lab.apply(rewriter(`${COLLECTOR.address} ${COLLECTOR.port}`));
  const rewritten = (times: number, from = collector.count(REWRITTEN.volume)) =>
    eventually(`all blocks rewritten ${times} times`, 120, async () => collector.count(REWRITTEN.volume) >= from + times);
  await rewritten(2);

  await lab.kubectl(['annotate', 'node', 'n1', 'rehome.io/online=true', '--overwrite']);
  await cluster.cordon('n1');
  await cluster.reaches(REWRITTEN.volume, 'Verifying', 240);
  await rewritten(2);
  await lab.kubectl(['scale', 'deployment', REWRITTEN.volume, '--replicas=0']);
  await cluster.waitUntilEvacuated('n1', 240);

  const node = await cluster.nodeOf(REWRITTEN.volume);
  const { stdout } = await lab.machine(node).exec(`uniq -c < /dev/${POOL}/${REWRITTEN.volume}`, { timeoutSeconds: 60 });
  const generations = [...stdout.matchAll(/^ *\d+ (\d{7})$/gm)].map(([, generation]) => Number(generation));
  const acknowledged = Math.max(...collector.numbers(REWRITTEN.volume));
  // Stopped in the middle of a pass, it has left the one before behind what it had written.
  expect(stdout.trim().split('\n')).toHaveLength(generations.length);
  expect([[acknowledged], [acknowledged + 1], [acknowledged + 1, acknowledged]]).toContainEqual(generations);
});

const REWRITTEN = { volume: 'rewritten', size: '16Mi', bytes: 16 * 2 ** 20 };

/** Writes the number of its pass, in eight bytes with the end of the line, to the whole of the device, and sends it off the node when all is on the disk. */
function rewriter(collector: string): object {
  const script = `
i=0
while :; do
  yes $(printf '%07d' $i) | head -c ${REWRITTEN.bytes} | dd of=${DEVICE} bs=64k iflag=fullblock conv=notrunc,fsync 2>/dev/null || exit 1
  echo "${REWRITTEN.volume} $i"
  i=$((i + 1))
done | nc ${collector}`;
  return deviceDeployment(REWRITTEN.volume, script);
}

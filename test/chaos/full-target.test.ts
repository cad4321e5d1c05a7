import { beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, POOL, THIN_POOL } from '../lab/support.ts';
import { WritingPod } from '../lab/writing-pod.ts';

const cluster = new Cluster();
const { lab } = cluster;
const [n1, n2] = [lab.machine('n1'), lab.machine('n2')];

beforeEach(() => cluster.reset());

const percentOfPool = async (): Promise<number> =>
  Number((await n2.exec(['lvs', '--noheadings', '-o', 'data_percent', `${POOL}/${THIN_POOL}`])).stdout);

test(
  'a thin pool that fills on the target holds up no write of the pod, and the copy goes on when there is room again',
  { timeout: 900_000 },
  () =>
    WritingPod.with(
      cluster,
      async (pod) => {
        // Something to copy: of a thin volume only what was written takes room.
        const [mount] = (await n1.exec(`findmnt -n -o TARGET -S /dev/${POOL}/${pod.volume}`)).stdout.split('\n');
        await n1.exec(`dd if=/dev/urandom of=${mount}/ballast bs=1M count=40 conv=fsync 2>/dev/null`, { timeoutSeconds: 60 });
        await cluster.cordon('n3');
        await n1.rate('24mbit');
        await pod.moveOnline();
        expect(await pod.syncUnderWay()).toBe('n2');

        const filledAt = Date.now();
        const filler = `/dev/${POOL}/filler`;
        await n2.exec(['lvcreate', '-qq', '--yes', '--virtualsize', '2G', '--thinpool', THIN_POOL, '--name', 'filler', POOL]);
        const fill = `dd if=/dev/zero of=${filler} bs=1M oflag=direct > /dev/null 2>&1 < /dev/null & echo $!`;
        const pid = Number((await n2.exec(fill)).stdout);
        await eventually('a full pool', 90, async () => (await percentOfPool()) === 100);
        await n1.rate('off');
        const trouble = await eventually('a migration that tells of the full pool', 180, async () => {
          const status = (await cluster.migration(pod.volume))?.status;
          return /not connected: .*; thin pool .* on n2 is full/.test(status?.message ?? '') && status?.message;
        });
        console.log(trouble);
        await pod.writesAgain();
        pod.expectNotHeldUp(filledAt);

        // It waits in the kernel for room, until that gives up.
        const stop = `kill ${pid} 2>/dev/null; while [ -d /proc/${pid} ]; do sleep 0.2; done; lvremove -qq --yes ${POOL}/filler`;
        await n2.exec(stop, { timeoutSeconds: 90 });
        await pod.copyProven(300);
        await pod.drain();
        await cluster.uncordon('n3');
        await pod.expectMoved();
      },
      { thin: true },
    ),
);

/**
 * What an application notices of a sync: a pod on the source that writes 4 KiB and waits for the disk, again and again.
 *
 * Volumes move when no pod uses them, so what moves is another volume of the node. A move beneath the running writer itself is a second LatencyRun,
 * whose `moved` is the writer's own volume.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { COLLECTOR, Collector } from '../demo/collector.ts';
import type { Steps } from '../index.ts';
import { waitFor } from '../wait.ts';
import { KernelLog } from './kernel-log.ts';
import type { Site } from './site.ts';
import { percentile } from './statistics.ts';
import type { SyncOptions } from './sync.ts';

const WRITER = 'bench-writer';
const PAUSE_MILLISECONDS = 5;
/** Before each sync, and after its move. */
const QUIET_MILLISECONDS = 10_000;

export interface LatencyRun {
  readonly moved: string;
  readonly windows: readonly Window[];
}

interface Window {
  readonly name: string;
  readonly microseconds: readonly number[];
  readonly p50: number;
  readonly p99: number;
}

/** One sync lasts seconds: the windows of several are put together. */
export async function measureLatency(site: Site, steps: Steps, { pairs, bytes }: SyncOptions): Promise<LatencyRun> {
  const collector = await Collector.listen();
  try {
    await startWriter(site, collector);
    const seen = { without: [] as number[], during: [] as number[], after: [] as number[] };
    for (let run = 1; run <= pairs; run += 1) {
      const times = await moveBeside(site, `bench-beside-${run}`, bytes);
      for (const window of ['without', 'during', 'after'] as const) seen[window].push(...collector.between(WRITER, times[window]));
      steps.say(`${run} of ${pairs}: a volume was moved beside the writer`);
    }
    await stopWriter(site);
    const windows = Object.entries(seen).map(([name, microseconds]) => toWindow(WINDOW_NAMES[name as keyof typeof seen], microseconds));
    return { moved: 'another volume of the node', windows };
  } finally {
    await collector.close();
  }
}

const WINDOW_NAMES = { without: 'without a sync', during: 'during the sync', after: 'after the move' };

function toWindow(name: string, microseconds: readonly number[]): Window {
  return { name, microseconds, p50: percentile(microseconds, 50), p99: percentile(microseconds, 99) };
}

type Times = Readonly<Record<keyof typeof WINDOW_NAMES, { readonly from: number; readonly to: number }>>;

async function moveBeside(site: Site, volume: string, bytes: number): Promise<Times> {
  await site.createFilledVolume(volume, bytes);
  await site.settle();
  const without = await quietly();
  const log = await KernelLog.mark(site.source);
  await site.cordon();
  await site.awaitMoved(volume);
  const after = await quietly();
  const { beganAt, endedAt } = await log.resyncOf(bytes);
  await site.uncordon();
  await site.lab.deleteVolume(volume);
  return { without, during: { from: log.toEpoch(beganAt), to: log.toEpoch(endedAt) }, after };
}

async function quietly(): Promise<{ from: number; to: number }> {
  const from = Date.now();
  await sleep(QUIET_MILLISECONDS);
  return { from, to: Date.now() };
}

async function startWriter({ lab, source }: Site, collector: Collector): Promise<void> {
  await lab.createVolume({ name: WRITER, node: source.name, size: '64Mi', fileSystem: 'ext4' });
  await lab.apply(writerPod());
  await waitFor('the writer writes', () => collector.count(WRITER) >= 100, { timeoutSeconds: 90, intervalMs: 200 });
}

async function stopWriter({ lab }: Site): Promise<void> {
  await lab.kubectl(['delete', 'pod', WRITER, '--wait', '--timeout=60s'], { timeoutSeconds: 90 });
  await waitFor('the volume of the writer is detached', async () => {
    return (await lab.kubectl(['get', 'volumeattachments', '-o', 'name'])).stdout.trim() === '';
  });
  await lab.deleteVolume(WRITER);
}

/** Overwrites blocks of a file that has its length: no write waits for the file system's own. Sends how many microseconds each took. */
const PROGRAM = `
const fs = require('node:fs');
const socket = require('node:net').connect(${COLLECTOR.port}, '${COLLECTOR.address}');
socket.on('error', () => process.exit(1));
const block = Buffer.alloc(4096, 1);
const BLOCKS = 1024;
const file = fs.openSync('/data/blocks', 'w');
for (let n = 0; n < BLOCKS; n++) fs.writeSync(file, block);
fs.fsyncSync(file);
let n = 0;
function write() {
  const begin = process.hrtime.bigint();
  fs.writeSync(file, block, 0, block.length, (n++ % BLOCKS) * block.length);
  fs.fdatasyncSync(file);
  socket.write('${WRITER} ' + (process.hrtime.bigint() - begin) / 1000n + '\\n');
  setTimeout(write, ${PAUSE_MILLISECONDS});
}
write();
`;

function writerPod(): object {
  const container = {
    name: 'writer',
    image: 'node',
    command: ['/opt/node/bin/node', '-e', PROGRAM],
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
  };
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: WRITER } }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: WRITER, namespace: 'default' },
    spec: { terminationGracePeriodSeconds: 2, containers: [container], volumes },
  };
}

/**
 * What an application notices of a move: a pod on the source that writes 4 KiB and waits for the disk, again and again, while another volume of the node
 * moves, and while its own is copied beneath it.
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
/** Each measurement of the writer that lasts as long as one likes. */
const WINDOW_MILLISECONDS = 10_000;
/** Beside a pod that never stops writing a copy gets its least rate, 2 MiB/s. */
const WRITER_BYTES = 32 * 2 ** 20;

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

interface Span {
  readonly from: number;
  readonly to: number;
}

/** By the name of what was going on. */
type Spans = Readonly<Record<string, Span>>;

/** One sync lasts seconds: the windows of several are put together. */
export async function measureLatency(site: Site, steps: Steps, { pairs, bytes }: SyncOptions): Promise<LatencyRun[]> {
  const collector = await Collector.listen();
  const measure = async (moved: string, move: (run: number) => Promise<Spans>): Promise<LatencyRun> => {
    const seen = new Map<string, number[]>();
    for (let run = 1; run <= pairs; run += 1) {
      for (const [name, span] of Object.entries(await move(run))) {
        seen.set(name, [...(seen.get(name) ?? []), ...collector.between(WRITER, span)]);
      }
      steps.say(`${run} of ${pairs}: a writer beside a move of ${moved}`);
    }
    return { moved, windows: Array.from(seen, ([name, microseconds]) => toWindow(name, microseconds)) };
  };
  try {
    await startWriter(site, collector);
    const others = await measure('another volume of the node', (run) => moveBeside(site, `bench-beside-${run}`, bytes));
    await site.allowOnline(WRITER);
    const own = await measure("the writer's own volume", () => copyBeneath(site));
    await stopWriter(site);
    return [others, own];
  } finally {
    await collector.close();
  }
}

function toWindow(name: string, microseconds: readonly number[]): Window {
  return { name, microseconds, p50: percentile(microseconds, 50), p99: percentile(microseconds, 99) };
}

async function moveBeside(site: Site, volume: string, bytes: number): Promise<Spans> {
  await site.createFilledVolume(volume, bytes);
  await site.settle();
  const before = await quietly();
  const log = await KernelLog.mark(site.source);
  await site.cordon();
  await site.awaitMoved(volume);
  const after = await quietly();
  const { beganAt, endedAt } = await log.resyncOf(bytes);
  await site.uncordon();
  await site.lab.deleteVolume(volume);
  return { 'without a sync': before, 'during the sync': { from: log.toEpoch(beganAt), to: log.toEpoch(endedAt) }, 'after the move': after };
}

/** The volume stays: the move is taken back from beneath the writer. */
async function copyBeneath(site: Site): Promise<Spans> {
  await site.settle();
  const before = await quietly();
  const log = await KernelLog.mark(site.source);
  await site.cordon();
  await site.awaitProven(WRITER);
  const proven = await quietly();
  const { beganAt, endedAt } = await log.resyncOf(WRITER_BYTES);
  await site.uncordon();
  return {
    'without a sync': before,
    'during the sync': { from: log.toEpoch(beganAt), to: log.toEpoch(endedAt) },
    'while the proven copy is kept alike': proven,
    'after it was taken back': await quietly(),
  };
}

/** Nothing else is done meanwhile. */
async function quietly(): Promise<Span> {
  const from = Date.now();
  await sleep(WINDOW_MILLISECONDS);
  return { from, to: Date.now() };
}

async function startWriter({ lab, source }: Site, collector: Collector): Promise<void> {
  await lab.createVolume({ name: WRITER, node: source.name, size: String(WRITER_BYTES), fileSystem: 'ext4' });
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

/** How fast a volume travels: Rehome's sync and a raw copy of the same logical volume in turns, and what an application notices meanwhile. */
import type { Steps } from '../index.ts';
import { KernelLog } from './kernel-log.ts';
import { type LatencyRun, measureLatency } from './latency.ts';
import { COPY_MODES, type CopyMode, copyRaw } from './raw-copy.ts';
import { table } from './report.ts';
import type { Site } from './site.ts';
import { median } from './statistics.ts';

/** What a sync has to reach of a raw copy's rate. */
export const REQUIRED_RATIO = 1.3;

export interface SyncOptions {
  /** How often each of both is measured. */
  readonly pairs: number;
  readonly bytes: number;
}

/** Bytes per second. */
export interface Pair {
  readonly raw: number;
  readonly sync: number;
}

export interface SyncResult {
  readonly options: SyncOptions;
  readonly mode: CopyMode;
  readonly pairs: readonly Pair[];
  readonly latencies: readonly LatencyRun[];
}

export async function benchSync(site: Site, steps: Steps, options: SyncOptions): Promise<SyncResult> {
  const mode = await fasterMode(site, steps, options.bytes);
  const pairs: Pair[] = [];
  while (pairs.length < options.pairs) {
    const pair = await measurePair(site, `bench-${pairs.length + 1}`, options.bytes, mode);
    pairs.push(pair);
    steps.say(
      `${pairs.length} of ${options.pairs}: raw copy ${rate(pair.raw)}, sync ${rate(pair.sync)}, ${(pair.sync / pair.raw).toFixed(2)} times it`,
    );
  }
  return { options, mode, pairs, latencies: await measureLatency(site, steps, options) };
}

/** Not counted: the first to write to blocks of a sparse disk waits for the host's file system. */
async function fasterMode(site: Site, steps: Steps, bytes: number): Promise<CopyMode> {
  const volume = 'bench-warm-up';
  await site.createFilledVolume(volume, bytes);
  const seconds: Record<CopyMode, number> = { direct: Number.POSITIVE_INFINITY, buffered: Number.POSITIVE_INFINITY };
  for (const mode of [COPY_MODES[0], ...COPY_MODES]) {
    await site.settle();
    // The very first pays for all that come after it: it is made once more.
    seconds[mode] = await copyRaw(site, volume, bytes, mode);
  }
  await site.lab.deleteVolume(volume);
  const fastest = COPY_MODES.toSorted((a, b) => seconds[a] - seconds[b])[0]!;
  const found = COPY_MODES.map((mode) => `${mode} ${rate(bytes / seconds[mode])}`).join(', ');
  steps.say(`raw copies to warm up: ${found}; a sync is held against the ${fastest} one`);
  return fastest;
}

async function measurePair(site: Site, volume: string, bytes: number, mode: CopyMode): Promise<Pair> {
  await site.createFilledVolume(volume, bytes);
  await site.settle();
  const rawSeconds = await copyRaw(site, volume, bytes, mode);
  await site.settle();
  const syncSeconds = await measureSync(site, volume, bytes);
  await site.uncordon();
  await site.lab.deleteVolume(volume);
  return { raw: bytes / rawSeconds, sync: bytes / syncSeconds };
}

/** @returns seconds from the source's kernel's begin of the copy to its end. */
async function measureSync(site: Site, volume: string, bytes: number): Promise<number> {
  const log = await KernelLog.mark(site.source);
  await site.cordon();
  await site.awaitMoved(volume);
  const { beganAt, endedAt } = await log.resyncOf(bytes);
  return endedAt - beganAt;
}

/** Of the medians. */
export function ratioOf(pairs: readonly Pair[]): number {
  return median(pairs.map(({ sync }) => sync)) / median(pairs.map(({ raw }) => raw));
}

export function syncReport({ options, mode, pairs, latencies }: SyncResult): string {
  const row = (name: string, raw: number, sync: number) => [name, rate(raw), rate(sync), (sync / raw).toFixed(2)];
  const medians = row('median', median(pairs.map(({ raw }) => raw)), median(pairs.map(({ sync }) => sync)));
  const rates = table([
    ['run', `raw copy (${mode})`, 'sync', 'sync / raw copy'],
    ...pairs.map(({ raw, sync }, index) => row(String(index + 1), raw, sync)),
    medians,
  ]);
  const rows = latencies.flatMap(({ moved, windows }) =>
    windows.map(({ name, microseconds, p50, p99 }) => [moved, name, String(microseconds.length), milliseconds(p50), milliseconds(p99)]),
  );
  const latency = table([['what moves', 'the writer is measured', 'writes', 'p50', 'p99'], ...rows]);
  return `Rates, of a volume of ${options.bytes / 2 ** 20} MiB:\n\n${rates}\n\nA writer's latency (4 KiB and fdatasync):\n\n${latency}`;
}

function rate(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 2 ** 20).toFixed(1)} MiB/s`;
}

function milliseconds(microseconds: number): string {
  return `${(microseconds / 1000).toFixed(1)} ms`;
}

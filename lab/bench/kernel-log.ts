/**
 * When DRBD began and ended a resync, by the node's kernel itself: neither Rehome's looks, twice a second, nor the way to the node are in it.
 *
 * Lines of drbd_worker.c and drbd_state.c: `Began resync as SyncSource (will sync N KB …)`, as PausedSyncS where it is paused, then
 * `Syncer continues.`; at the end, when the target has acknowledged every block, `Resync done (…)`.
 */
import { randomUUID } from 'node:crypto';
import type { Machine } from '../machines/index.ts';

/** Times are of the kernel's clock, in seconds since it booted. */
export interface Resync {
  readonly kib: number;
  readonly beganAt: number;
  readonly endedAt: number;
}

const LINE = /^\[ *(\d+\.\d+)\] .*?\bdrbd(\d+)\b[^:]*: (.*)$/;

/** Those that ended, of which the node was the source. @param log as dmesg prints it. */
export function parseResyncs(log: string): Resync[] {
  const resyncs: Resync[] = [];
  const underWay = new Map<string, { readonly kib: number; readonly beganAt: number | undefined }>();
  for (const line of log.split('\n')) {
    const [, time, minor, message] = LINE.exec(line) ?? [];
    if (time === undefined || minor === undefined || message === undefined) continue;
    const seconds = Number(time);
    const [, side, kib] = /^Began resync as (SyncSource|PausedSyncS) \(will sync (\d+) KB/.exec(message) ?? [];
    const current = underWay.get(minor);
    if (kib !== undefined) underWay.set(minor, { kib: Number(kib), beganAt: side === 'SyncSource' ? seconds : undefined });
    if (message.startsWith('Syncer continues') && current) underWay.set(minor, { ...current, beganAt: current.beganAt ?? seconds });
    if (message.startsWith('Resync done')) {
      if (current?.beganAt !== undefined) resyncs.push({ kib: current.kib, beganAt: current.beganAt, endedAt: seconds });
      underWay.delete(minor);
    }
  }
  return resyncs;
}

/** A node's kernel log from now on, and its clock held against this host's. */
export class KernelLog {
  readonly #machine: Machine;
  readonly #mark: string;
  /** When the mark was written, by both clocks. */
  readonly #at: { readonly kernelSeconds: number; readonly epochMilliseconds: number };

  private constructor(machine: Machine, mark: string, at: { readonly kernelSeconds: number; readonly epochMilliseconds: number }) {
    this.#machine = machine;
    this.#mark = mark;
    this.#at = at;
  }

  /** Writes a mark into the log. The clocks are compared to within half the time that this takes: some 0.05 s. */
  static async mark(machine: Machine): Promise<KernelLog> {
    const mark = `rehome-bench ${randomUUID()}`;
    const before = Date.now();
    await machine.exec(`echo '${mark}' > /dev/kmsg`);
    const epochMilliseconds = (before + Date.now()) / 2;
    const line = (await dmesg(machine)).split('\n').find((candidate) => candidate.includes(mark));
    const kernelSeconds = Number(/^\[ *(\d+\.\d+)\]/.exec(line ?? '')?.[1] ?? Number.NaN);
    if (Number.isNaN(kernelSeconds)) throw new Error(`the kernel log of ${machine.name} does not show the mark: ${line ?? 'no such line'}`);
    return new KernelLog(machine, mark, { kernelSeconds, epochMilliseconds });
  }

  /** The resync since the mark that copied a whole volume of this size. @throws where there is none: it was cut in two, or did not end. */
  async resyncOf(bytes: number): Promise<Resync> {
    const log = await dmesg(this.#machine);
    const begin = log.indexOf(this.#mark);
    if (begin < 0) throw new Error(`the kernel log of ${this.#machine.name} has overwritten the mark`);
    const since = log.slice(begin);
    const found = parseResyncs(since).find(({ kib }) => kib === bytes / 1024);
    if (found) return found;
    const drbd = since.split('\n').filter((line) => LINE.test(line));
    throw new Error(`${this.#machine.name} shows no unbroken sync of ${bytes / 1024} KiB:\n${drbd.join('\n')}`);
  }

  /** Milliseconds since the epoch, by this host's clock. */
  toEpoch(kernelSeconds: number): number {
    return this.#at.epochMilliseconds + (kernelSeconds - this.#at.kernelSeconds) * 1000;
  }
}

async function dmesg(machine: Machine): Promise<string> {
  return (await machine.exec('dmesg')).stdout;
}

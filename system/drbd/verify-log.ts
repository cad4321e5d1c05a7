/**
 * What verifies of DRBD 9 left out, as the kernel's log has it: nothing else tells once a verify has ended. A block that is being written while it is to
 * be compared is skipped, counts as read on both ends, and out-of-sync stays 0. What was printed, by each end for itself:
 *
 *     drbd data_rehome/0 drbd20000 target: Starting Online Verify from sector 0              (the end that began it alone)
 *     drbd data_rehome/0 drbd20000 target: Skipped verify, too busy: start=301288, size=16 (sectors)
 *     drbd data_rehome/0 drbd20000 target: Online verify done but 2 4k blocks skipped (total 16 sec; paused 0 sec; 16384 K/sec)
 *
 * The end that began a verify says all that was skipped, on either side. The other one may have missed its last range, so it is the number in the last
 * line that all ranges together are held against. Sources: drbd_int.h, drbd_sender.c, drbd_state.c and drbd_polymorph_printk.h of DRBD 9.1 to 9.3.
 */
import type { SectorRange, SkippedRanges } from '../../core/contracts/node-activities.ts';
import type { KernelLogRecord } from '../kernel-log.ts';

const MINOR = /^drbd \S+\/\d+ drbd(\d+) \S+: /;
const BEGUN = /Starting Online Verify from sector \d+/;
const SKIPPED = /Skipped verify, too busy: start=(\d+), size=(\d+) \(sectors\)/;
const DONE = /Online verify done(?: but (\d+) (\d+)k blocks skipped)? \(/;

const SECTORS_PER_KIB = 2;

/** Where the log stands: the sequence of the record that will be its next. */
export const logPosition = (log: readonly KernelLogRecord[]): number => (log.at(-1)?.sequence ?? -1) + 1;

/** @param since a position; by default what was left out since this end last began a verify. */
export function skippedByVerify(log: readonly KernelLogRecord[], minor: number, since?: number): SkippedRanges {
  // What names no minor is taken for this one's: more is compared again then, and never less.
  const own = log.filter(({ text }) => Number(MINOR.exec(text)?.[1] ?? minor) === minor);
  const begun = since ?? own.findLast(({ text }) => BEGUN.test(text))?.sequence ?? 0;
  const lines = own.filter(({ sequence }) => sequence >= begun).map(({ text }) => text);

  const ends = lines.map((line) => DONE.exec(line)).filter((end) => end !== null);
  const sectors = sum(ends.map(([, blocks = '0', kib = '0']) => Number(blocks) * Number(kib) * SECTORS_PER_KIB));
  const ranges = lines.map(toRange).filter((range) => range !== undefined);
  const named = sum(ranges.map((range) => range.sectors));
  return ends.length > 0 && named >= sectors ? ranges : 'unknown';
}

function toRange(line: string): SectorRange | undefined {
  const [, start, size] = SKIPPED.exec(line) ?? [];
  return start === undefined ? undefined : { startSector: Number(start), sectors: Number(size) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

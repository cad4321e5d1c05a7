/**
 * What a verify proves.
 *
 * DRBD ends an aborted verify and a finished one in the same state. Coverage is proven by the target's read counter: nobody else reads there, so a
 * pass adds exactly the size of what it covers, which is less than the counter holds. An interrupted pass and its resumption add another number, and so
 * does a pass that was begun twice; a target that was attached anew begins again at 0.
 *
 * DRBD 9, on either side, skips what is being written just then, and has read it all the same. So a block counts as compared where neither end's record
 * names it. What is named is compared again alone once nobody can write, and a pass over a closed volume needs no record: there is nothing to skip.
 */
import type { SectorRange, SkippedRanges, VerifyReport } from '../contracts/node-activities.ts';
import { bytesIn, mergeRanges, SECTOR_BYTES } from './sector-ranges.ts';

export interface VerifyFacts {
  /** What the pass was to cover: the whole device, or ranges of it. */
  readonly sizeBytes: number;
  /** KiB that DRBD had read from the target's device before and after the pass. */
  readonly readKibBefore: number;
  readonly readKibAfter: number;
  readonly report: VerifyReport;
  /** undefined: the target's DRBD is 8.4. */
  readonly skippedByTarget?: SkippedRanges | undefined;
  /** The source's device was removed before the pass: nobody could write. */
  readonly closed: boolean;
}

export type VerifyVerdict =
  | { readonly kind: 'proven' }
  /** The copy differs: send the differences, then verify all of it again. An out-of-sync of 0 after that alone proves nothing. */
  | { readonly kind: 'differences'; readonly message: string }
  /** The pass says nothing: verify again. */
  | { readonly kind: 'inconclusive'; readonly message: string }
  /** Proven but for these ranges, which are still to be compared; undefined: nobody knows what was compared. */
  | { readonly kind: 'skipped'; readonly ranges: readonly SectorRange[] | undefined; readonly message: string };

/** Both DRBDs count in 32 bits of sectors, so that the counter begins again after 2 TiB. Source: `read_cnt` in drbd_int.h, shown as KiB. */
export const COUNTER_BYTES = 2 ** 32 * 512;

/** Undefined where nothing can be said: what is counted anew, and has counted nothing, is the target's that was attached anew. */
function readBetween(beforeKib: number, afterKib: number): number | undefined {
  if (afterKib === 0) return undefined;
  return ((((afterKib - beforeKib) * 1024) % COUNTER_BYTES) + COUNTER_BYTES) % COUNTER_BYTES;
}

export function judgeVerify(facts: VerifyFacts): VerifyVerdict {
  const { sizeBytes, readKibBefore, readKibAfter, report } = facts;
  if (report.outOfSyncBytes > 0) return { kind: 'differences', message: `${report.outOfSyncBytes} bytes differ between source and target` };
  if (!report.completed) return { kind: 'inconclusive', message: 'the verify did not run to its end on one unbroken connection' };
  if (!report.healthy)
    return { kind: 'inconclusive', message: 'after the verify the mirror was not connected and up to date on both ends' };
  const readBytes = readBetween(readKibBefore, readKibAfter);
  if (readBytes === undefined) return { kind: 'inconclusive', message: 'the target was attached anew during the verify' };
  if (readBytes !== sizeBytes) return { kind: 'inconclusive', message: `the verify read ${readBytes} of ${sizeBytes} bytes on the target` };
  return judgeSkipped(facts);
}

/** A source with DRBD 9 tells of both ends, one with 8.4 of none: there the target's record is all there is. */
function judgeSkipped({ report, skippedByTarget, closed }: VerifyFacts): VerifyVerdict {
  const decisive = report.skipped ?? skippedByTarget ?? [];
  if (decisive === 'unknown' && !closed) return { kind: 'skipped', ranges: undefined, message: 'what the verify skipped is not known' };
  const ranges = mergeRanges([report.skipped, skippedByTarget].filter(isKnown).flat());
  if (ranges.length === 0) return { kind: 'proven' };
  // 8.4 could not tell what was skipped in a second pass over the ranges.
  return isKnown(report.skipped) ? notCompared(ranges) : { ...notCompared(ranges), ranges: undefined };
}

function isKnown(skipped: SkippedRanges | undefined): skipped is readonly SectorRange[] {
  return skipped !== undefined && skipped !== 'unknown';
}

/** By how much one pass reaches into the next: without that those over a device of 2 TiB would leave the counter at 0, where a new one begins. */
const OVERLAP_BYTES = 2 ** 20;
/** As much as one pass covers: less than the counter holds. */
const MOST_BYTES = 2 ** 40 + OVERLAP_BYTES;

/** @returns the ranges that are to be proven one by one; undefined: the whole device at once. */
export function passesOver(sizeBytes: number): readonly (readonly SectorRange[] | undefined)[] {
  if (sizeBytes <= MOST_BYTES) return [undefined];
  const passes: SectorRange[][] = [];
  for (let begin = 0; ; begin += MOST_BYTES - OVERLAP_BYTES) {
    const bytes = Math.min(MOST_BYTES, sizeBytes - begin);
    passes.push([{ startSector: begin / SECTOR_BYTES, sectors: bytes / SECTOR_BYTES }]);
    if (begin + bytes === sizeBytes) return passes;
  }
}

/** Of passes that each have covered a part. */
export function joinVerdicts(verdicts: readonly VerifyVerdict[]): VerifyVerdict {
  const skipped: SectorRange[] = [];
  for (const verdict of verdicts) {
    if (verdict.kind === 'proven') continue;
    if (verdict.kind !== 'skipped' || verdict.ranges === undefined) return verdict;
    skipped.push(...verdict.ranges);
  }
  return skipped.length === 0 ? { kind: 'proven' } : notCompared(mergeRanges(skipped));
}

function notCompared(ranges: readonly SectorRange[]): VerifyVerdict & { readonly kind: 'skipped' } {
  return { kind: 'skipped', ranges, message: `${bytesIn(ranges)} bytes were being written and not compared` };
}

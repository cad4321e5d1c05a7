import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SectorRange, SkippedRanges } from '../../../core/contracts/node-activities.ts';
import { bytesIn, mergeRanges } from '../../../core/domain/sector-ranges.ts';
import {
  COUNTER_BYTES,
  joinVerdicts,
  judgeVerify,
  passesOver,
  type VerifyFacts,
  type VerifyVerdict,
} from '../../../core/domain/verify-proof.ts';

const report = { completed: true, outOfSyncBytes: 0, healthy: true };
const facts: VerifyFacts = { sizeBytes: 8 * 2 ** 20, readKibBefore: 100, readKibAfter: 100 + 8192, report, closed: false };
const one: SectorRange = { startSector: 8, sectors: 8 };
const other: SectorRange = { startSector: 400, sectors: 16 };

describe('a verify', () => {
  test.each<[string, Partial<VerifyFacts>, string, RegExp?]>([
    ['proves the copy when the target has read exactly its size', {}, 'proven'],
    ['that found differences says how much', { report: { ...report, outOfSyncBytes: 4096 } }, 'differences', /^4096 bytes/],
    [
      'that found differences counts also when it was cut short',
      { report: { ...report, completed: false, outOfSyncBytes: 4096 } },
      'differences',
    ],
    ['that was cut short proves nothing', { report: { ...report, completed: false } }, 'inconclusive', /unbroken/],
    ['after which the mirror is not whole proves nothing', { report: { ...report, healthy: false } }, 'inconclusive', /not connected/],
    ['that read less proves nothing: it was resumed', { readKibAfter: 100 + 8188 }, 'inconclusive', /8384512 of 8388608/],
    ['that read more proves nothing: it was begun twice', { readKibAfter: 100 + 8196 }, 'inconclusive'],
    ['whose target was attached anew meanwhile proves nothing', { readKibBefore: 9000 }, 'inconclusive'],
    ['proves the copy also where the counter of 2 TiB has begun again', { readKibBefore: 2 ** 31 - 100, readKibAfter: 8092 }, 'proven'],
    [
      'after which the counter has counted nothing proves nothing, whatever it said before',
      { readKibBefore: 2 ** 31 - 8192, readKibAfter: 0 },
      'inconclusive',
      /attached anew/,
    ],
  ])('%s', (_, change, kind, message = /^/) => {
    const verdict = judgeVerify({ ...facts, ...change });
    expect(verdict.kind).toBe(kind);
    expect('message' in verdict ? verdict.message : '').toMatch(message);
  });
});

describe('a device for which one pass is not enough', () => {
  const TiB = 2 ** 40;

  test('is compared whole, and each pass adds less than the counter holds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 * 2 ** 18 }), (extents) => {
        const sizeBytes = extents * 4 * 2 ** 20;
        const ranges = passesOver(sizeBytes).map((pass) => pass ?? [{ startSector: 0, sectors: sizeBytes / 512 }]);
        expect(mergeRanges(ranges.flat())).toEqual([{ startSector: 0, sectors: sizeBytes / 512 }]);
        for (const pass of ranges) expect(bytesIn(pass)).toBeLessThan(COUNTER_BYTES);
      }),
    );
  });

  test.each([1, 1.5, 2, 3, 4, 16])('is proven (%d TiB), however often it was verified before', (tebibytes) => {
    let counterBytes = 0;
    for (let time = 0; time < 5; time++) {
      const verdicts = passesOver(tebibytes * TiB).map((pass) => {
        const sizeBytes = pass ? bytesIn(pass) : tebibytes * TiB;
        const readKibBefore = counterBytes / 1024;
        counterBytes = (counterBytes + sizeBytes) % COUNTER_BYTES;
        return judgeVerify({ ...facts, sizeBytes, readKibBefore, readKibAfter: counterBytes / 1024 });
      });
      if (tebibytes > 1) expect(joinVerdicts(verdicts)).toEqual({ kind: 'proven' });
      // A device of exactly 1 TiB leaves it at 0 the second time, and is verified once more.
      else expect(joinVerdicts(verdicts).kind).toBe(time % 2 === 0 ? 'proven' : 'inconclusive');
    }
  });

  test.each<[string, VerifyVerdict[], VerifyVerdict]>([
    ['what was skipped in each pass', [skipped(one), { kind: 'proven' }, skipped(other)], skipped(one, other)],
    ['that one of them proves nothing', [skipped(one), { kind: 'inconclusive', message: 'no' }], { kind: 'inconclusive', message: 'no' }],
  ])('is judged by %s', (_, verdicts, expected) => {
    expect(joinVerdicts(verdicts)).toMatchObject({ ...expected, message: expect.anything() });
  });

  function skipped(...ranges: SectorRange[]): VerifyVerdict {
    return { kind: 'skipped', ranges, message: '' };
  }
});

describe('what DRBD 9 skipped', () => {
  const PROVEN = { kind: 'proven' };
  const rest = (ranges: SectorRange[] | undefined) => ({ kind: 'skipped', ranges });

  test.each<[string, { readonly bySource?: SkippedRanges; readonly byTarget?: SkippedRanges; readonly closed?: boolean }, object]>([
    ['is nothing: a proof', { bySource: [], byTarget: [] }, PROVEN],
    ['is nothing on the source, which tells of both ends: a proof', { bySource: [], byTarget: 'unknown' }, PROVEN],
    ['is nothing on a target whose source has 8.4: a proof', { byTarget: [] }, PROVEN],
    ['is left to compare', { bySource: [one] }, rest([one])],
    ['is left to compare, whichever end names it', { bySource: [other], byTarget: [one, other] }, rest([one, other])],
    ['is not known: everything is left', { bySource: 'unknown', byTarget: [] }, rest(undefined)],
    ['is not known of a target whose source has 8.4: everything is left', { byTarget: 'unknown' }, rest(undefined)],
    ['is named by a target alone, whose source could not tell of a second pass: everything is left', { byTarget: [one] }, rest(undefined)],
    ['is left to compare also of a closed volume', { bySource: [one], closed: true }, rest([one])],
    ['need not be known of a closed volume, which nobody writes', { bySource: 'unknown', closed: true }, PROVEN],
  ])('%s', (_, { bySource, byTarget, closed = false }, expected) => {
    const skipped = bySource === undefined ? {} : { skipped: bySource };
    expect(judgeVerify({ ...facts, report: { ...report, ...skipped }, skippedByTarget: byTarget, closed })).toMatchObject(expected);
  });

  test('says how much it is', () => {
    const verdict = judgeVerify({ ...facts, report: { ...report, skipped: [one, other] } });
    expect(verdict).toMatchObject({ message: '12288 bytes were being written and not compared' });
  });

  test('is of no interest where the pass proves nothing or has found differences', () => {
    const skipped = { skipped: [one] };
    expect(judgeVerify({ ...facts, report: { ...report, ...skipped, outOfSyncBytes: 4096 } }).kind).toBe('differences');
    expect(judgeVerify({ ...facts, report: { ...report, ...skipped, completed: false } }).kind).toBe('inconclusive');
  });
});

const anyRange = fc.record({ startSector: fc.integer({ min: 0, max: 60 }), sectors: fc.integer({ min: 1, max: 9 }) });
const anySkipped = fc.option(fc.oneof(fc.constant('unknown' as const), fc.array(anyRange, { maxLength: 2 })), { nil: undefined });

test('nothing but a whole, healthy pass without differences that skipped nothing is a proof', () => {
  const any = fc.record({
    sizeBytes: fc.constantFrom(4096, 8192),
    readKibBefore: fc.integer({ min: 0, max: 12 }),
    readKibAfter: fc.integer({ min: 0, max: 24 }),
    report: fc.record({ completed: fc.boolean(), healthy: fc.boolean(), outOfSyncBytes: fc.constantFrom(0, 4096) }),
    skipped: anySkipped,
    skippedByTarget: anySkipped,
    closed: fc.boolean(),
  });
  fc.assert(
    fc.property(any, ({ skipped, ...given }) => {
      const verdict = judgeVerify({ ...given, report: { ...given.report, ...(skipped !== undefined && { skipped }) } });
      if (verdict.kind !== 'proven') return;
      expect(given.report).toEqual(report);
      expect((given.readKibAfter - given.readKibBefore) * 1024).toBe(given.sizeBytes);
      for (const each of [skipped, given.skippedByTarget]) if (Array.isArray(each)) expect(each).toEqual([]);
      if (!given.closed) expect(skipped ?? given.skippedByTarget ?? []).toEqual([]);
    }),
    { numRuns: 5000 },
  );
});

describe('ranges that are merged', () => {
  const sectorsIn = (ranges: readonly SectorRange[]) =>
    new Set(ranges.flatMap(({ startSector, sectors }) => Array.from({ length: sectors }, (_, index) => startSector + index)));

  test('cover what they covered, in order, each sector once and none beside another', () => {
    fc.assert(
      fc.property(fc.array(anyRange), (ranges) => {
        const merged = mergeRanges(ranges);
        expect(sectorsIn(merged)).toEqual(sectorsIn(ranges));
        for (const [index, { startSector }] of merged.slice(1).entries()) {
          expect(startSector).toBeGreaterThan(merged[index]!.startSector + merged[index]!.sectors);
        }
      }),
    );
  });

  test('become one around them all where they are too many', () => {
    const every = (count: number) => Array.from({ length: count }, (_, index) => ({ startSector: index * 16, sectors: 8 }));
    expect(mergeRanges(every(100))).toEqual(every(100));
    expect(mergeRanges(every(101))).toEqual([{ startSector: 0, sectors: 1608 }]);
  });
});

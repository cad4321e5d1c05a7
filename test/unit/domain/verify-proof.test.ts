import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeVerify, type VerifyFacts } from '../../../core/domain/verify-proof.ts';

const report = { completed: true, outOfSyncBytes: 0, healthy: true };
const facts: VerifyFacts = { sizeBytes: 8 * 2 ** 20, readKibBefore: 100, readKibAfter: 100 + 8192, report };

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
  ])('%s', (_, change, kind, message = /^/) => {
    const verdict = judgeVerify({ ...facts, ...change });
    expect(verdict.kind).toBe(kind);
    expect('message' in verdict ? verdict.message : '').toMatch(message);
  });
});

test('nothing but a whole, healthy pass without differences is a proof', () => {
  const any = fc.record({
    sizeBytes: fc.constantFrom(4096, 8192),
    readKibBefore: fc.integer({ min: 0, max: 12 }),
    readKibAfter: fc.integer({ min: 0, max: 24 }),
    report: fc.record({ completed: fc.boolean(), healthy: fc.boolean(), outOfSyncBytes: fc.constantFrom(0, 4096) }),
  });
  fc.assert(
    fc.property(any, (given) => {
      if (judgeVerify(given).kind !== 'proven') return;
      expect(given.report).toEqual(report);
      expect((given.readKibAfter - given.readKibBefore) * 1024).toBe(given.sizeBytes);
    }),
    { numRuns: 2000 },
  );
});

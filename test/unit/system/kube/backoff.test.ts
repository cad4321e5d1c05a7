import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMilliseconds } from '../../../../system/kube/backoff.ts';

describe('a back-off', () => {
  const limits = { minimumMilliseconds: 200, maximumMilliseconds: 15_000 };

  test.each([
    [1, 200],
    [2, 400],
    [3, 800],
    [7, 12_800],
    [8, 15_000],
    [5000, 15_000],
  ])('after failure %i is at most %i ms and at least half of it', (failures, ceiling) => {
    expect(backoffMilliseconds(limits, failures, 0)).toBe(ceiling / 2);
    expect(backoffMilliseconds(limits, failures, 1)).toBe(ceiling);
  });

  test('never leaves its limits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const milliseconds = backoffMilliseconds(limits, failures, random);
        expect(milliseconds).toBeGreaterThanOrEqual(100);
        expect(milliseconds).toBeLessThanOrEqual(15_000);
      }),
    );
  });
});

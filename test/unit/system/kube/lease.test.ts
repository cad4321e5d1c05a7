import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { isLeaseHeld, type LeaseSpec, microTime, type WatchedLease, watchLease } from '../../../../system/kube/lease.ts';
import type { Lease } from '../../../../system/kube/resources.ts';

const START = new Date('2026-01-01T00:00:30Z');
beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(() => {
  vi.useRealTimers();
});

const lease = (spec: LeaseSpec): Lease => ({ metadata: { name: 'agent', uid: 'u', resourceVersion: '1' }, spec });
const renewed = { holderIdentity: 'somebody', renewTime: '2026-01-01T00:00:20.000000Z', leaseDurationSeconds: 15 };

describe('a Lease that is seen for the first time', () => {
  test.each([
    ['renewed within its duration is held', renewed, true],
    ['not renewed for its duration is free', { ...renewed, leaseDurationSeconds: 10 }, false],
    ['given up is free', { ...renewed, holderIdentity: '' }, false],
    ['never renewed is free', { holderIdentity: 'somebody', leaseDurationSeconds: 15 }, false],
  ])('and was %s', (_, spec, held) => {
    expect(isLeaseHeld(watchLease(lease(spec), undefined))).toBe(held);
  });

  test('and was renewed by a clock that is ahead is held for its duration and no longer', () => {
    const seen = watchLease(lease({ ...renewed, renewTime: '2026-01-01T01:00:00.000000Z' }), undefined);
    vi.advanceTimersByTime(14_000);
    expect(isLeaseHeld(seen)).toBe(true);
    vi.advanceTimersByTime(1000);
    expect(isLeaseHeld(seen)).toBe(false);
  });
});

describe('a Lease that is watched', () => {
  const at = (clock: number, before: WatchedLease | undefined) =>
    watchLease(lease({ ...renewed, renewTime: microTime(new Date(clock)) }), before);

  test('is held while renewals are seen, however far the clock of its holder is behind', () => {
    const behind = 3_600_000;
    let seen = at(START.getTime() - behind, undefined);
    for (let renewal = 0; renewal < 5; renewal++) {
      vi.advanceTimersByTime(5000);
      seen = at(Date.now() - behind, seen);
      expect(isLeaseHeld(seen)).toBe(true);
    }
    vi.advanceTimersByTime(15_000);
    expect(isLeaseHeld(seen)).toBe(false);
  });

  test('is not renewed by a change of something else', () => {
    const seen = at(START.getTime(), undefined);
    vi.advanceTimersByTime(15_000);
    expect(isLeaseHeld(at(START.getTime(), seen))).toBe(false);
  });

  test('that does not exist is free', () => {
    expect(isLeaseHeld(undefined)).toBe(false);
  });
});

test('times of Leases have six digits of a second', () => {
  expect(microTime(START)).toBe('2026-01-01T00:00:30.000000Z');
});

import { describe, expect, test } from 'vitest';
import { isLeaseHeld, microTime } from '../../../../system/kube/lease.ts';

describe('a Lease', () => {
  const now = new Date('2026-01-01T00:00:30Z');
  const renewed = { holderIdentity: 'somebody', renewTime: '2026-01-01T00:00:20.000000Z', leaseDurationSeconds: 15 };
  test.each([
    ['renewed within its duration is held', renewed, true],
    ['not renewed for its duration is free', { ...renewed, leaseDurationSeconds: 10 }, false],
    ['given up is free', { ...renewed, holderIdentity: '' }, false],
    ['never renewed is free', { holderIdentity: 'somebody', leaseDurationSeconds: 15 }, false],
  ])('%s', (_, spec, held) => {
    expect(isLeaseHeld({ spec }, now)).toBe(held);
  });

  test('that does not exist is free', () => {
    expect(isLeaseHeld(undefined, now)).toBe(false);
  });

  test('has times with six digits of a second', () => {
    expect(microTime(now)).toBe('2026-01-01T00:00:30.000000Z');
  });
});

import { describe, expect, test } from 'vitest';
import { type EventToTell, eventName } from '../../../../system/kube/events.ts';

describe('an Event has a name', () => {
  const event: EventToTell = {
    regarding: { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u1' },
    reason: 'EvictionStarted',
    note: 'three volumes',
  };

  test('that is the same when it is told again', () => {
    expect(eventName({ ...event })).toBe(eventName(event));
    expect(eventName(event)).toMatch(/^n1\.[0-9a-f]{16}$/);
  });

  test.each([
    ['another object of that name', { regarding: { ...event.regarding, uid: 'u2' } }],
    ['another reason', { reason: 'EvictionStopped' }],
    ['another note', { note: 'two volumes' }],
    ['another type', { type: 'Warning' }],
  ] as const)('that is different for %s', (_, change) => {
    expect(eventName({ ...event, ...change })).not.toBe(eventName(event));
  });

  test('that the API server takes even for the longest name of an object', () => {
    expect(eventName({ ...event, regarding: { ...event.regarding, name: 'n'.repeat(253) } })).toHaveLength(253);
  });
});

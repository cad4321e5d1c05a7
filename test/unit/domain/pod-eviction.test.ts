import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decidePodEviction, hasBegun, isLeaving, type PodState, willBeEvicted } from '../../../core/domain/pod-eviction.ts';

const running: PodState = { deleting: false, phase: 'Running', node: 'n1' };
const evicted: PodState = { ...running, phase: 'Failed', reason: 'Evicted' };

describe('the eviction of a pod', () => {
  test.each([
    ['a running pod without the label is nobody to us', running, false, 'nothing'],
    ['a running pod that gets the label has its claims marked', { ...running, label: 'start' }, false, 'mark'],
    ['a pod that is marked already waits for its end', { ...running, label: 'start' }, true, 'nothing'],
    ['a labelled pod that is being deleted starts it', { ...running, label: 'start', deleting: true }, true, 'start'],
    [
      'a labelled pod that is deleted in the same moment is marked and starts it',
      { ...running, label: 'start', deleting: true },
      false,
      'start',
    ],
    ['a pod that its kubelet evicted starts it', evicted, false, 'start'],
    ['a pod that its kubelet evicted starts it with the label too', { ...evicted, label: 'start' }, false, 'start'],
    ['a pod that was dealt with does not start it again', { ...evicted, label: 'completed' }, false, 'nothing'],
    ['a pod whose end was interrupted has it made again', { ...evicted, label: 'completed' }, true, 'start'],
    ['a pod that somebody labelled completed while it runs is marked no more', { ...running, label: 'completed' }, true, 'unmark'],
    ['a pod that has lost the label is marked no more', running, true, 'unmark'],
    ['a pod that has lost the label while it is being deleted is marked no more', { ...running, deleting: true }, true, 'unmark'],
    ['another value of the label is none', { ...running, label: 'later', deleting: true }, false, 'nothing'],
    ['a pod that failed by itself is nobody to us', { ...running, phase: 'Failed', reason: 'Error' }, false, 'nothing'],
    ['a labelled pod that has come to its end waits for its deletion', { ...running, phase: 'Succeeded', label: 'start' }, true, 'nothing'],
    ['a pod that was never on a node has no volumes there', { deleting: true, label: 'start' }, false, 'nothing'],
    ['a pod that is gone starts it if its claims say so', undefined, true, 'start'],
    ['a pod that is gone without a trace is past', undefined, false, 'nothing'],
  ] as const)('%s', (_, pod, marked, decision) => {
    expect(decidePodEviction({ pod, marked })).toBe(decision);
  });

  const pods = fc.record({
    label: fc.constantFrom(undefined, 'start', 'completed', 'disable', ''),
    deleting: fc.boolean(),
    phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed'),
    reason: fc.constantFrom(undefined, 'Evicted', 'NodeLost'),
    node: fc.constantFrom(undefined, 'n1'),
  });

  test('never starts for a pod that still runs, and never unmarks one that is about to be moved', () => {
    fc.assert(
      fc.property(pods, fc.boolean(), (pod, marked) => {
        const decision = decidePodEviction({ pod, marked });
        if (decision === 'start') expect(isLeaving(pod)).toBe(true);
        if (decision === 'mark') expect(isLeaving(pod)).toBe(false);
        if (decision === 'unmark') expect(marked && pod.label !== 'start').toBe(true);
      }),
    );
  });

  test('has begun, for whoever would use the volume, exactly when it would be started', () => {
    fc.assert(
      fc.property(pods, (pod) => {
        if (willBeEvicted(pod)) expect(hasBegun(pod)).toBe(true);
        if (decidePodEviction({ pod, marked: true }) === 'start') expect(hasBegun(pod)).toBe(true);
      }),
    );
    expect(hasBegun(undefined)).toBe(true);
    expect(hasBegun({ ...running, label: 'start' })).toBe(false);
  });
});

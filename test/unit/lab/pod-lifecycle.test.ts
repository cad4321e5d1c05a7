import { describe, expect, test } from 'vitest';
import { containersToStart, mountLingers, podStatus, statusDiffers } from '../../../lab/kubelet/pod-lifecycle.ts';
import { type ContainerFixture, container, onNode, pod } from './pods.ts';

const starts = (...[pod, state, now]: Parameters<typeof containersToStart>) =>
  containersToStart(pod, state, now).map(({ container: { name }, attempt }) => `${name} ${attempt}`);

describe('which containers are started', () => {
  const twoInits = pod({ spec: { initContainers: [container('first'), container('second')] } });
  const never = pod({ spec: { restartPolicy: 'Never' } });
  const onFailure = pod({ spec: { restartPolicy: 'OnFailure' } });
  const done: ContainerFixture = { exit: { code: 0, at: 2000 } };
  const failed: ContainerFixture = { exit: { code: 1, at: 2000 } };

  test.each([
    ['all of a new pod', pod({ spec: { containers: [container('a'), container('b')] } }), undefined, ['a 1', 'b 1']],
    ['none that runs', pod(), onNode({ main: {} }), []],
    ['one that ended, as its next attempt', pod(), onNode({ main: done }), ['main 2']],
    ['one that ended under restartPolicy Never: not', never, onNode({ main: failed }), []],
    ['one that failed under OnFailure', onFailure, onNode({ main: failed }), ['main 2']],
    ['one that succeeded under OnFailure: not', onFailure, onNode({ main: done }), []],
    ['the first init container, alone', twoInits, undefined, ['first 1']],
    ['nothing while it runs', twoInits, onNode({ first: {} }), []],
    ['the second when the first has succeeded', twoInits, onNode({ first: done }), ['second 1']],
    ['a failed init container again', twoInits, onNode({ first: failed }), ['first 2']],
    ['the containers when all init containers have succeeded', twoInits, onNode({ first: done, second: done }), ['main 1']],
  ] as const)('%s', (_, pod, state, expected) => {
    expect(starts(pod, state, 2100)).toEqual(expected);
  });

  test('the more often a container has ended at once, the longer it waits, up to eight seconds', () => {
    const waits = [1, 2, 3, 4, 5, 20].map((attempt) => {
      const state = onNode({ main: { attempt, startedAt: 1999, exit: { code: 1, at: 2000 } } });
      return [1, 2, 4, 8, 16].find((seconds) => starts(pod(), state, 2000 + seconds).length > 0);
    });
    expect(waits).toEqual([1, 2, 4, 8, 8, 8]);
  });

  test('after a reboot of its node a container goes on counting where it was', () => {
    const rebooted = pod({ status: podStatus(pod(), onNode({ main: { attempt: 3 } }), '10.0.0.1', '2026-01-01T00:00:00Z') });
    expect(starts(rebooted, undefined, 2100)).toEqual(['main 4']);
  });
});

test('the volumes of a pod that was evicted under pressure stay mounted for ten seconds, and those of no other', () => {
  const at = Date.parse('2026-01-01T00:00:00Z');
  const disrupted = (reason: string) => [{ type: 'DisruptionTarget', status: 'True', reason, lastTransitionTime: '2026-01-01T00:00:00Z' }];
  const evicted = pod({ status: { phase: 'Failed', reason: 'Evicted', conditions: disrupted('TerminationByKubelet') } });
  expect([0, 9999, 10_000].map((later) => mountLingers(evicted, at + later))).toEqual([true, true, false]);
  expect(mountLingers(pod({ status: { phase: 'Failed', reason: 'Evicted' } }), at)).toBe(false);
  expect(mountLingers(pod({ status: { phase: 'Failed', conditions: disrupted('EvictionByEvictionAPI') } }), at)).toBe(false);
});

describe("a pod's phase", () => {
  const never = pod({ spec: { restartPolicy: 'Never' } });
  test.each([
    ['Pending before its containers exist', pod(), undefined, 'Pending'],
    ['Running when all have started', pod(), onNode({ main: {} }), 'Running'],
    ['Running while a container waits for its next attempt', pod(), onNode({ main: { exit: { code: 1, at: 1 } } }), 'Running'],
    ['Running after a reboot, before its containers are back', pod({ status: { phase: 'Running' } }), undefined, 'Running'],
    ['Succeeded when all have ended well for good', never, onNode({ main: { exit: { code: 0, at: 1 } } }), 'Succeeded'],
    ['Failed when one has ended badly for good', never, onNode({ main: { exit: { code: 1, at: 1 } } }), 'Failed'],
    ['Failed for ever once somebody has said so', pod({ status: { phase: 'Failed', reason: 'Evicted' } }), onNode({ main: {} }), 'Failed'],
    [
      'Failed when an init container failed and may not be repeated',
      pod({ spec: { restartPolicy: 'Never', initContainers: [container('init')] } }),
      onNode({ init: { exit: { code: 2, at: 1 } } }),
      'Failed',
    ],
  ] as const)('%s', (_, pod, state, phase) => {
    expect(podStatus(pod, state, '10.0.0.1', '2026-01-01T00:00:00Z').phase).toBe(phase);
  });
});

describe("a pod's status", () => {
  const status = podStatus(pod(), onNode({ main: {} }), '10.0.0.1', '2026-01-01T00:00:00Z');

  test('is Ready while all containers run, and not while they are being ended', () => {
    const ready = (conditions = status.conditions) => conditions?.find(({ type }) => type === 'Ready')?.status;
    expect(ready()).toBe('True');
    expect(ready(podStatus(pod(), onNode({ main: {} }, { stopping: true }), '10.0.0.1', '').conditions)).toBe('False');
  });

  test('is not written again when the API server has it, whatever others have added', () => {
    const others = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' };
    const known = { ...status, qosClass: 'BestEffort', conditions: [...status.conditions!, others] };
    const again = podStatus(pod({ status: known }), onNode({ main: {} }), '10.0.0.1', '2026-02-02T00:00:00Z');
    expect(statusDiffers(pod({ status: known }), again)).toBe(false);
  });

  test('keeps the time of a condition that has not changed', () => {
    const again = podStatus(pod({ status }), onNode({ main: {} }), '10.0.0.1', '2026-02-02T00:00:00Z');
    expect(again.conditions).toEqual(status.conditions);
  });

  test('is written when a container has ended', () => {
    const ended = podStatus(pod({ status }), onNode({ main: { exit: { code: 1, at: 2000 } } }), '10.0.0.1', '2026-02-02T00:00:00Z');
    expect(statusDiffers(pod({ status }), ended)).toBe(true);
  });
});

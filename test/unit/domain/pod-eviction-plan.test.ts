import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PodEvictionFacts } from '../../../core/contracts/cluster-activities.ts';
import { follow } from '../../../core/domain/followed-migrations.ts';
import {
  NO_TARGET_MILLISECONDS,
  NOTHING_REMEMBERED,
  type PodEvictionMemory,
  planPodEviction,
  rememberEnd,
  rememberLook,
  untilGivenUp,
} from '../../../core/domain/pod-eviction-plan.ts';

const NOW = 1_000_000;
const lies = (...volumes: string[]) => volumes.map((volume) => ({ volume, onNode: true }));
const running = (volume: string, phase: PodEvictionFacts['running'][number]['phase'], pointOfNoReturn = false) => ({
  volume,
  phase,
  message: `${volume} says why`,
  pointOfNoReturn,
});
const ended = (volume: string, outcome: 'Completed' | 'Aborted' | 'NothingToMove', more: object = {}) => ({
  volume,
  sourceNode: 'n1',
  outcome,
  abortedByPerson: false,
  ...more,
});
const plan = (facts: PodEvictionFacts, memory: Partial<PodEvictionMemory> = {}, now = NOW) =>
  planPodEviction('n1', facts, { ...NOTHING_REMEMBERED, ...memory }, now);

describe("a pod's eviction", () => {
  test('starts a migration for every volume that lies on the node, and for no other', () => {
    const volumes = [...lies('b', 'a'), { volume: 'elsewhere', onNode: false }];
    expect(plan({ volumes, running: [] })).toEqual({ start: ['a', 'b'] });
  });

  test('joins what runs for its volumes, also where the objects say the target already', () => {
    expect(plan({ volumes: [{ volume: 'a', onNode: false }], running: [running('a', 'RemovingSource', true)] })).toEqual({ start: ['a'] });
  });

  test('waits for what it follows', () => {
    expect(plan({ volumes: lies('a'), running: [running('a', 'Syncing')] }, { following: ['a'], begun: true })).toEqual({ start: [] });
  });

  test('ends without a word where nothing was to be moved', () => {
    expect(plan({ volumes: [], running: [] }).end).toEqual({ message: 'moved away from n1: nothing' });
    expect(plan({ volumes: [], running: [], unwanted: 'node n1 says so' }).end?.event).toBeUndefined();
  });

  test('ends with the volumes that have moved', () => {
    const memory = { moved: ['b', 'a'], begun: true };
    expect(plan({ volumes: lies('a'), running: [] }, memory).end).toEqual({
      event: 'PodEvictionCompleted',
      message: 'moved away from n1: a, b',
    });
  });

  test.each([
    ['its node keeps what is on it', { unwanted: 'node n1 has label x' }, {}, 'the volumes stay on n1: node n1 has label x'],
    ['a person keeps a volume', {}, { kept: 'a' }, 'the volumes stay on n1: a person aborted the move of a'],
    ['a volume is refused', { running: [running('a', 'NeedsAttention')] }, {}, 'the volumes stay on n1: a cannot move: a says why'],
    [
      'a volume finds no node for too long',
      { running: [running('a', 'Reserving')] },
      { withoutTargetSince: { a: NOW - NO_TARGET_MILLISECONDS } },
      'the volumes stay on n1: a found no other node for 10 minutes: a says why',
    ],
    ['one of several cannot go', { running: [running('b', 'NeedsAttention')] }, { moved: ['a'] }, /: b cannot move.*; but for a$/],
  ] as const)('is given up at once where %s', (_, facts, memory, message) => {
    const { start, end } = plan({ volumes: lies('a', 'b'), running: [], ...facts }, { following: ['a'], begun: true, ...memory });
    expect(start).toEqual([]);
    expect(end).toEqual({ event: 'PodEvictionStopped', message: typeof message === 'string' ? message : expect.stringMatching(message) });
  });

  test('is not given up for what is parked past the point of no return: that only goes forward', () => {
    expect(
      plan({ volumes: lies('a'), running: [running('a', 'NeedsAttention', true)] }, { following: ['a'], begun: true }).end,
    ).toBeUndefined();
  });

  test('counts the time without a target anew when there was one in between', () => {
    const reserving = { volumes: lies('a'), running: [running('a', 'Reserving')] };
    const waiting = rememberLook(NOTHING_REMEMBERED, reserving, NOW);
    expect(waiting.withoutTargetSince).toEqual({ a: NOW });
    expect(rememberLook(waiting, reserving, NOW + 5).withoutTargetSince).toEqual({ a: NOW });
    expect(untilGivenUp(waiting, NOW + 5)).toBe(NO_TARGET_MILLISECONDS - 5);
    const placed = rememberLook(waiting, { volumes: lies('a'), running: [running('a', 'Syncing')] }, NOW + 5);
    expect(placed.withoutTargetSince).toEqual({});
    expect(untilGivenUp(placed, NOW)).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('starts its own migration after one away from another node, and after one that nobody has aborted', () => {
    for (const end of [ended('a', 'Completed', { sourceNode: 'n3' }), ended('a', 'Aborted')]) {
      const memory = rememberEnd(follow(NOTHING_REMEMBERED, 'a'), 'n1', end);
      expect(plan({ volumes: lies('a'), running: [] }, memory).start).toEqual(['a']);
    }
  });

  test('does not begin again what found nothing to do, or was aborted by a person', () => {
    const idle = rememberEnd(follow(NOTHING_REMEMBERED, 'a'), 'n1', ended('a', 'NothingToMove'));
    expect(plan({ volumes: lies('a'), running: [] }, idle).start).toEqual([]);
    const kept = rememberEnd(follow(NOTHING_REMEMBERED, 'a'), 'n1', ended('a', 'Aborted', { abortedByPerson: true }));
    expect(plan({ volumes: lies('a'), running: [] }, kept).end?.event).toBe('PodEvictionStopped');
  });

  test('comes to its end however migrations end, and never starts what it follows', () => {
    const outcomes = fc.constantFrom('Completed', 'Aborted', 'NothingToMove', 'AbortedByPerson');
    fc.assert(
      fc.property(fc.array(outcomes, { minLength: 1, maxLength: 4 }), (ends) => {
        const volumes = ends.map((_, index) => `v${index}`);
        const onNode = new Set(volumes);
        let memory: PodEvictionMemory = NOTHING_REMEMBERED;
        for (let round = 0; round < 10; round++) {
          const facts = { volumes: volumes.map((volume) => ({ volume, onNode: onNode.has(volume) })), running: [] };
          const { start, end } = planPodEviction('n1', facts, memory, NOW);
          if (end) return;
          for (const volume of start) {
            expect(memory.following).not.toContain(volume);
            memory = { ...follow(memory, volume), begun: true };
          }
          const [volume] = memory.following;
          const outcome = round < ends.length ? ends[round]! : 'Completed';
          if (outcome === 'Completed') onNode.delete(volume!);
          const isPerson = outcome === 'AbortedByPerson';
          memory = rememberEnd(memory, 'n1', ended(volume!, isPerson ? 'Aborted' : outcome, { abortedByPerson: isPerson }));
        }
        throw new Error('it goes on and on');
      }),
    );
  });
});

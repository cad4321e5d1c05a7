import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PodEvictionFacts } from '../../../core/contracts/cluster-activities.ts';
import { follow } from '../../../core/domain/followed-migrations.ts';
import {
  NOTHING_REMEMBERED,
  type PodEvictionMemory,
  planPodEviction,
  rememberEnd,
  rememberLook,
  untilGivenUp,
} from '../../../core/domain/pod-eviction-plan.ts';

const NOW = 1_000_000;
const LIMIT = 10 * 60_000;
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
const plan = (facts: PodEvictionFacts, memory: Partial<PodEvictionMemory> = {}) =>
  planPodEviction('n1', facts, { ...NOTHING_REMEMBERED, ...memory }, LIMIT);
const STANDS = { stoodMilliseconds: LIMIT };

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
      { standstills: { a: { ...STANDS, furthest: 'Reserving' } } },
      'the volumes stay on n1: a found no other node for 10 minutes: a says why',
    ],
    [
      'a volume waits for too long for those who use it',
      { running: [running('a', 'AwaitingDetach')] },
      { standstills: { a: { ...STANDS, furthest: 'AwaitingDetach' } } },
      'the volumes stay on n1: a has not come forward for 10 minutes: a says why',
    ],
    [
      'no migration of a volume begins for too long',
      {},
      { standstills: { a: STANDS } },
      'the volumes stay on n1: a has not come forward for 10 minutes: its migration has not begun',
    ],
    ['one of several cannot go', { running: [running('b', 'NeedsAttention')] }, { moved: ['a'] }, /: b cannot move.*; but for a$/],
  ] as const)('is given up at once where %s', (_, facts, memory, message) => {
    const { start, end } = plan({ volumes: lies('a', 'b'), running: [], ...facts }, { following: ['a'], begun: true, ...memory });
    expect(start).toEqual([]);
    expect(end).toEqual({ event: 'PodEvictionStopped', message: typeof message === 'string' ? message : expect.stringMatching(message) });
  });

  test('is given up at once, and nothing begun, where a volume is kept or must not move: the others stay with it', () => {
    const volumes = [...lies('a'), { volume: 'b', onNode: true, stays: { kind: 'kept' as const, why: 'somebody says so' } }];
    const message = 'the volumes stay on n1: b is kept (somebody says so)';
    expect(plan({ volumes, running: [] })).toEqual({ start: [], end: { event: 'PodEvictionStopped', message } });
    const away = [{ ...volumes[1]!, onNode: false }];
    expect(plan({ volumes: away, running: [] }).end?.event).toBeUndefined();
    expect(plan({ volumes, running: [running('b', 'CuttingOver', true)] }, { begun: true }).end).toBeUndefined();
  });

  test('is told to have stopped where somebody has taken the mark off before a volume moved', () => {
    const volumes = [
      { volume: 'a', onNode: true, unmarked: true as const },
      { volume: 'b', onNode: false, unmarked: true as const },
    ];
    expect(plan({ volumes, running: [] }).end).toEqual({ message: 'moved away from n1: nothing' });
    expect(plan({ volumes, running: [] }, { begun: true, following: ['a'], moved: ['b'] }).end).toEqual({
      event: 'PodEvictionStopped',
      message: 'the volumes stay on n1: somebody took the mark of the eviction off the claim of a; but for b',
    });
    // Its objects may say so a moment later than its migration.
    expect(plan({ volumes, running: [] }, { begun: true, moved: ['a', 'b'] }).end?.event).toBe('PodEvictionCompleted');
  });

  test('is not given up for what is parked past the point of no return: that only goes forward', () => {
    expect(
      plan({ volumes: lies('a'), running: [running('a', 'NeedsAttention', true)] }, { following: ['a'], begun: true }).end,
    ).toBeUndefined();
  });

  test('counts for how long volumes stand still that are to leave, whether a migration runs or not, and no others', () => {
    const volumes = [...lies('a', 'b', 'moved', 'cut'), { volume: 'elsewhere', onNode: false }];
    const facts = { volumes, running: [running('a', 'Reserving'), running('cut', 'CuttingOver', true)] };
    const first = rememberLook({ ...NOTHING_REMEMBERED, moved: ['moved'] }, facts, NOW);
    expect(untilGivenUp(first, LIMIT)).toBe(LIMIT);
    const second = rememberLook(first, facts, NOW + 5);
    expect(second.standstills).toEqual({ a: { furthest: 'Reserving', stoodMilliseconds: 5 }, b: { stoodMilliseconds: 5 } });
    expect(untilGivenUp(second, LIMIT)).toBe(LIMIT - 5);
    expect(untilGivenUp(rememberLook(second, { volumes: [], running: [] }, NOW + 10), LIMIT)).toBe(Number.POSITIVE_INFINITY);
  });

  test('starts its own migration after one away from another node, and after one that nobody has aborted', () => {
    for (const end of [ended('a', 'Completed', { sourceNode: 'n3' }), ended('a', 'Aborted')]) {
      const memory = rememberEnd(follow(NOTHING_REMEMBERED, 'a'), 'n1', end);
      expect(plan({ volumes: lies('a'), running: [] }, memory).start).toEqual(['a']);
    }
  });

  test('waits with what found nothing to do while it lies there yet, and ends without having moved it', () => {
    const idle = rememberEnd(follow({ ...NOTHING_REMEMBERED, begun: true }, 'a'), 'n1', ended('a', 'NothingToMove'));
    const facts = { volumes: lies('a'), running: [] };
    expect(plan(facts, idle)).toEqual({ start: [] });
    expect(rememberLook(idle, facts, NOW).standstills).toEqual({ a: { stoodMilliseconds: 0 } });
    expect(plan(facts, { ...idle, standstills: { a: STANDS } }).end).toEqual({
      event: 'PodEvictionStopped',
      message: 'the volumes stay on n1: a has not come forward for 10 minutes: its migration has not begun',
    });
    expect(plan({ volumes: [{ volume: 'a', onNode: false }], running: [] }, idle).end?.event).toBe('PodEvictionCompleted');
  });

  test('does not begin again what was aborted by a person', () => {
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
          const { start, end } = planPodEviction('n1', facts, memory, LIMIT);
          if (end) return;
          for (const volume of start) {
            expect(memory.following).not.toContain(volume);
            memory = { ...follow(memory, volume), begun: true };
          }
          const [volume] = memory.following;
          // The next change is heard of.
          memory = { ...memory, idle: [] };
          if (volume === undefined) continue;
          const outcome = round < ends.length ? ends[round]! : 'Completed';
          if (outcome === 'Completed') onNode.delete(volume);
          const isPerson = outcome === 'AbortedByPerson';
          memory = rememberEnd(memory, 'n1', ended(volume, isPerson ? 'Aborted' : outcome, { abortedByPerson: isPerson }));
        }
        throw new Error('it goes on and on');
      }),
    );
  });
});

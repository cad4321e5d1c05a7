import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeEvictionFacts } from '../../../core/contracts/cluster-activities.ts';
import { type EvictionMemory, NOTHING_REMEMBERED, planEviction, rememberEnd, rememberLook } from '../../../core/domain/eviction-plan.ts';

const facts: NodeEvictionFacts = {
  exists: true,
  cordoned: true,
  disabled: false,
  volumes: [
    { volume: 'a', held: false },
    { volume: 'b', held: false },
  ],
  running: [],
};
const NOW = 1_000_000;
const running = (volume: string) => ({ volume, phase: 'Syncing' as const, message: '' });
const plan = (change: Partial<NodeEvictionFacts> = {}, memory: Partial<EvictionMemory> = {}) =>
  planEviction({ ...facts, ...change }, { ...NOTHING_REMEMBERED, ...memory }, NOW);

describe('on a node that is to be emptied', () => {
  test('every volume begins to move, and the eviction is announced', () => {
    expect(plan()).toEqual({ start: ['a', 'b'], nudge: [], report: 'EvictionStarted', over: false, held: [] });
  });

  test.each<[string, Partial<NodeEvictionFacts>, Partial<EvictionMemory>, string[]]>([
    ['what is followed is not started again', {}, { following: ['a'] }, ['b']],
    ['what a person holds stays, as the objects say', { volumes: [{ volume: 'a', held: true }] }, {}, []],
    ['what a person holds stays, before the objects say so', {}, { held: ['a'] }, ['b']],
    [
      'what is kept or refused stays',
      {
        volumes: [
          { volume: 'a', held: false, stays: { kind: 'kept', why: 'somebody says so' } },
          { volume: 'b', held: false, stays: { kind: 'refused', why: 'etcd runs on it' } },
        ],
      },
      {},
      [],
    ],
    [
      'what is kept and runs is joined, so that it is taken back',
      { volumes: [{ volume: 'a', held: false, stays: { kind: 'kept', why: 'somebody says so' } }], running: [running('a')] },
      {},
      ['a'],
    ],
    ['what has moved is not started again, before the objects say so', {}, { moved: ['a'] }, ['b']],
    ['what had nothing to move is not tried again at once', {}, { idle: ['b'] }, ['a']],
    ['what runs without being followed is joined', { volumes: [], running: [running('c')] }, {}, ['c']],
  ])('%s', (_, change, memory, start) => {
    expect(plan(change, memory).start).toEqual(start);
  });

  test('it is over when nothing is left and nothing runs, which is said once', () => {
    expect(plan({ volumes: [] }, { begun: true })).toMatchObject({ over: true, report: 'EvictionCompleted' });
    expect(plan({ volumes: [] })).toEqual({ start: [], nudge: [], over: true, held: [] });
    expect(plan({ volumes: [] }, { following: ['a'] }).over).toBe(false);
  });
});

describe('on a node that may only be restarted', () => {
  const delayed = { delaySeconds: 300 };

  test('nothing begins before the delay is over, which is announced once', () => {
    const waitsUntil = NOW + 300_000;
    expect(plan(delayed)).toEqual({ start: [], nudge: [], report: 'EvictionDelayed', over: false, held: [], waitsUntil });
    expect(plan(delayed, { wantedSince: NOW })).toEqual({ start: [], nudge: [], over: false, held: [], waitsUntil });
    expect(plan(delayed, { wantedSince: NOW - 300_000 })).toMatchObject({ start: ['a', 'b'], report: 'EvictionStarted' });
  });

  test('what runs already is joined at once, and nothing is waited for where all of it runs', () => {
    expect(plan({ ...delayed, running: [running('a')] })).toMatchObject({ start: ['a'], waitsUntil: NOW + 300_000 });
    expect(plan({ ...delayed, running: [running('a'), running('b')] })).not.toHaveProperty('waitsUntil');
  });

  test.each<[string, Partial<NodeEvictionFacts>]>([
    ['uncordoned', { cordoned: false }],
    ['empty', { volumes: [] }],
    ['left with what a person holds', { volumes: [{ volume: 'a', held: true }] }],
  ])('but is %s it is over at once', (_, change) => {
    expect(plan({ ...delayed, ...change }, { wantedSince: NOW })).toMatchObject({ start: [], over: true });
  });
});

describe('on a node that is to be emptied no longer', () => {
  test.each<[string, Partial<NodeEvictionFacts>]>([
    ['uncordoned', { cordoned: false }],
    ['with the label', { disabled: true }],
    ['deleted', { exists: false, cordoned: false }],
  ])('(%s) nothing is started, and what runs looks again', (_, change) => {
    expect(plan(change, { following: ['b', 'a'], begun: true })).toEqual({ start: [], nudge: ['a', 'b'], over: false, held: [] });
  });

  test('what was left by somebody else is joined, so that it is taken back', () => {
    expect(plan({ cordoned: false, running: [running('a')] }).start).toEqual(['a']);
  });

  test('it is over when everything has ended', () => {
    expect(plan({ cordoned: false }, { begun: true })).toMatchObject({ over: true, report: 'EvictionStopped' });
  });
});

describe('what is remembered', () => {
  const end = { volume: 'a', sourceNode: 'n1', outcome: 'Completed' as const, abortedByPerson: false };
  const memory = { ...NOTHING_REMEMBERED, following: ['a', 'b'] };

  test.each<[string, Partial<Parameters<typeof rememberEnd>[2]>, Partial<EvictionMemory>]>([
    ['of a move that is done', {}, { moved: ['a'] }],
    ['of an abort by nobody: it may be started again', { outcome: 'Aborted' }, {}],
    ['of an abort by a person: it is held', { outcome: 'Aborted', abortedByPerson: true }, { held: ['a'] }],
    ['of a run that found nothing', { outcome: 'NothingToMove' }, { idle: ['a'] }],
    ['of a move from another node to this one: its own is still to come', { sourceNode: 'n2' }, {}],
  ])('%s', (_, change, remembered) => {
    expect(rememberEnd(memory, 'n1', { ...end, ...change })).toEqual({ ...memory, following: ['b'], ...remembered });
  });

  test('a hold is forgotten when the node is seen uncordoned, a move when the objects tell it too', () => {
    const full = { ...memory, held: ['b'], moved: ['a', 'gone'] };
    expect(rememberLook(full, facts, NOW)).toMatchObject({ held: ['b'], moved: ['a'] });
    expect(rememberLook(full, { ...facts, cordoned: false }, NOW)).toMatchObject({ held: [] });
    expect(rememberLook(full, { ...facts, exists: false, cordoned: false }, NOW)).toMatchObject({ held: ['b'] });
  });

  test('since when the node is to be emptied counts from the first look that found it so, and from anew after an uncordon', () => {
    const since = (before: number | undefined, change: Partial<NodeEvictionFacts>) =>
      rememberLook({ ...memory, ...(before !== undefined && { wantedSince: before }) }, { ...facts, ...change }, NOW).wantedSince;
    expect(since(undefined, {})).toBe(NOW);
    expect(since(7, {})).toBe(7);
    expect([{ cordoned: false }, { disabled: true }, { exists: false }].map((change) => since(7, change))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test('a hold of which the objects have told lasts for as long as they do', () => {
  const begun = { ...NOTHING_REMEMBERED, begun: true, following: ['a', 'b'] };
  const aborted = rememberEnd(begun, 'n1', { volume: 'a', sourceNode: 'n1', outcome: 'Aborted', abortedByPerson: true });
  const told = rememberLook(aborted, { ...facts, volumes: [{ volume: 'a', held: true }] }, NOW);
  expect(planEviction(facts, told, NOW)).toMatchObject({ start: ['a'], held: [] });
  expect(planEviction(facts, aborted, NOW)).toMatchObject({ start: [], held: ['a'] });
});

test('nothing is started that is followed or held, and it is never over while something is followed or to be started', () => {
  const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'));
  const anyFacts = fc.record({
    exists: fc.boolean(),
    cordoned: fc.boolean(),
    disabled: fc.boolean(),
    volumes: fc.uniqueArray(fc.record({ volume: fc.constantFrom('a', 'b', 'c'), held: fc.boolean() }), {
      selector: ({ volume }) => volume,
    }),
    running: names.map((volumes) => volumes.map(running)),
    delaySeconds: fc.constantFrom(0, 300),
  });
  const anyMemory = fc.record({
    following: names,
    moved: names,
    held: names,
    idle: names,
    begun: fc.boolean(),
    wantedSince: fc.constantFrom(0, NOW),
  });
  fc.assert(
    fc.property(anyFacts, anyMemory, (given, memory) => {
      const { start, over, nudge } = planEviction(given, memory, NOW);
      for (const volume of start) expect([...memory.following, ...memory.held]).not.toContain(volume);
      if (over) expect([...memory.following, ...start]).toEqual([]);
      const wanted = given.exists && given.cordoned && !given.disabled;
      const mayBegin = wanted && (given.delaySeconds === 0 || memory.wantedSince === 0);
      expect(nudge.length > 0).toBe(!wanted && memory.following.length > 0);
      if (!mayBegin) expect(start.filter((volume) => !given.running.some((migration) => migration.volume === volume))).toEqual([]);
    }),
  );
});

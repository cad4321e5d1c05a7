import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PHASES } from '../../../core/contracts/phases.ts';
import { type Companion, type CompanionMove, judgeCompanions, type OwnMove, volumesBoundTo } from '../../../core/domain/companions.ts';

const own: OwnMove = { volume: 'data', sourceNode: 'n1', target: 'n2', pairing: 1 };

const move = (change: Partial<CompanionMove> = {}): CompanionMove => ({
  phase: 'AwaitingDetach',
  message: 'has a proven copy',
  target: 'n2',
  pairing: 1,
  proven: true,
  pointOfNoReturn: false,
  abortedByPerson: false,
  ...change,
});

const other = (changed: Partial<CompanionMove> | undefined, change: Partial<Companion> = {}): Companion => ({
  volume: 'log',
  nodes: ['n1'],
  heldBy: [],
  isDue: false,
  ...(changed && { move: move(changed) }),
  ...change,
});

const gone = { proven: true, pointOfNoReturn: true };
const aborted = { phase: 'Aborted', proven: false, abortedByPerson: true } as const;

/** @param bonds volumes of one pod each, or of one group. */
function boundTo(volume: string, bonds: readonly (readonly string[])[], elsewhere: readonly string[] = []): readonly string[] {
  const neighboursOf = (next: string) => bonds.filter((bond) => bond.includes(next)).flat();
  return [...volumesBoundTo(volume, neighboursOf, (next) => !elsewhere.includes(next))].sort();
}

describe('a volume leaves', () => {
  test.each<[string, string[][], string[], string[]]>([
    ['alone, where nothing binds it', [['log', 'wal']], [], []],
    ['with the others of its pod', [['data', 'log', 'wal']], [], ['log', 'wal']],
    [
      'with those of a pod that shares a volume with its own',
      [
        ['data', 'log'],
        ['log', 'wal'],
      ],
      [],
      ['log', 'wal'],
    ],
    [
      'with the last of a long chain',
      [
        ['c', 'd'],
        ['data', 'a'],
        ['b', 'c'],
        ['a', 'b'],
      ],
      [],
      ['a', 'b', 'c', 'd'],
    ],
    [
      'with each once, where the chain closes',
      [
        ['data', 'a'],
        ['a', 'b'],
        ['b', 'data'],
      ],
      [],
      ['a', 'b'],
    ],
    [
      'not with what only a volume elsewhere leads to',
      [
        ['data', 'far'],
        ['far', 'log'],
      ],
      ['far'],
      ['far'],
    ],
    [
      'with what another way leads to as well',
      [
        ['data', 'far', 'a'],
        ['far', 'log'],
        ['a', 'log'],
      ],
      ['far'],
      ['a', 'far', 'log'],
    ],
    [
      'and still knows its neighbours when it has left',
      [
        ['data', 'log'],
        ['log', 'wal'],
      ],
      ['data'],
      ['log', 'wal'],
    ],
  ])('%s', (_, bonds, elsewhere, expected) => {
    expect(boundTo('data', bonds, elsewhere)).toEqual(expected);
  });
});

const VOLUMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const anyBonds = fc.array(fc.subarray(VOLUMES, { minLength: 2, maxLength: 3 }), { maxLength: 5 });

test('whichever of the volumes asks first, those that leave together are the same, and who sees another is seen by it', () => {
  let together = 0;
  fc.assert(
    fc.property(anyBonds, fc.subarray(VOLUMES, { maxLength: 3 }), (bonds, elsewhere) => {
      for (const volume of VOLUMES) {
        const bound = boundTo(volume, bonds, elsewhere);
        for (const other of bound) expect(boundTo(other, bonds, elsewhere)).toContain(volume);
        const leaving = [volume, ...bound].filter((each) => !elsewhere.includes(each));
        if (elsewhere.includes(volume)) continue;
        const all = [volume, ...bound].sort();
        for (const each of leaving) expect([each, ...boundTo(each, bonds, elsewhere)].sort()).toEqual(all);
        if (leaving.length > 2) together += 1;
      }
    }),
  );
  expect(together).toBeGreaterThan(50);
});

describe('a volume waits for the others of its pods', () => {
  test.each<[string, Companion, string[]]>([
    ['not for one with a proven copy on the same node', other({}), []],
    ['for one that is being copied', other({ phase: 'Syncing', proven: false }), ['volume log (Syncing)']],
    [
      'for one that finds no target, and says why',
      other({ phase: 'Reserving', proven: false, message: 'no node can take the volume: n2 PoolFull' }),
      ['volume log (Reserving: no node can take the volume: n2 PoolFull)'],
    ],
    [
      'for one that needs a person, and says why',
      other({ phase: 'NeedsAttention', proven: true, message: 'the copy differs' }),
      ['volume log (NeedsAttention: the copy differs)'],
    ],
    ['for one that is proven but in use', other({}, { heldBy: ['pod default/b'] }), ['volume log (held by pod default/b)']],
    ['for one that goes to another node', other({ target: 'n3' }), ['volume log (goes to n3)']],
    ['for one whose move has yet to begin', other(undefined, { isDue: true }), ['volume log (its move has not begun)']],
    [
      'for one whose move was taken back and begins anew',
      other({ phase: 'Aborted' }, { isDue: true }),
      ['volume log (its move has not begun)'],
    ],
    ['not for one that nobody moves', other(undefined), []],
    ['not for one that has left', other({ ...gone, phase: 'Completed' }, { nodes: ['n2'] }), []],
    ['not for one that cuts over', other({ ...gone, phase: 'CuttingOver' }), []],
    ['not for one that has a replica where it goes', other({ phase: 'Syncing', proven: false }, { nodes: ['n1', 'n2'] }), []],
    ['not for one that lies elsewhere', other(undefined, { nodes: ['n3'], isDue: true }), []],
  ])('%s', (_, companion, expected) => {
    expect(judgeCompanions(own, [companion]).awaits).toEqual(expected);
  });
});

describe('a volume is taken back with another one of its pods', () => {
  const withdrawn = { ...aborted, abortedByPerson: false, message: 'no longer wanted' } as const;
  const cuttingOver = other({ ...gone, phase: 'CuttingOver' }, { volume: 'wal' });
  test.each<[string, Companion[], boolean | undefined]>([
    ['if a person aborts that', [other(aborted)], true],
    ['if a person aborts that, though it would be begun anew', [other(aborted, { isDue: true })], true],
    ['if that is wanted no longer', [other(withdrawn)], false],
    ['as soon as a person begins to take that back', [other({ ...aborted, phase: 'Aborting' })], true],
    ['as soon as that begins to be taken back', [other({ ...withdrawn, phase: 'Aborting' })], false],
    ['not if that is begun anew', [other(withdrawn, { isDue: true })], undefined],
    ['not while that waits for a person', [other({ phase: 'NeedsAttention' })], undefined],
    ['not if the abort came too late', [other({ ...gone, abortedByPerson: true })], undefined],
    ['not if a third one has passed its point of no return', [other(withdrawn), cuttingOver], undefined],
  ])('%s', (_, companions, byPerson) => {
    const { message } = companions[0]!.move!;
    const expected = byPerson === undefined ? undefined : { volume: 'log', byPerson, message };
    expect(judgeCompanions(own, companions).takenBackWith).toEqual(expected);
  });
});

describe('a volume follows another one of its pods', () => {
  test.each<[string, Companion, string | undefined]>([
    ['that has passed its point of no return', other({ ...gone, phase: 'CuttingOver' }), 'log'],
    ['that has moved', other({ ...gone, phase: 'Completed' }, { nodes: ['n2'] }), 'log'],
    ['not one that may be taken back', other({ phase: 'CuttingOver' }), undefined],
  ])('%s', (_, companion, expected) => {
    expect(judgeCompanions(own, [companion]).follows).toBe(expected);
  });
});

describe('of two volumes with different targets', () => {
  const joins = (change: Partial<CompanionMove>, companion: Partial<Companion> = {}, mine: Partial<OwnMove> = {}) =>
    judgeCompanions({ ...own, ...mine }, [other({ target: 'n3', ...change }, companion)]).joins;

  test('the one that has tried fewer follows', () => {
    expect(joins({ pairing: 2 })).toEqual({ volume: 'log', node: 'n3' });
    expect(joins({ pairing: 0 })).toBeUndefined();
  });

  test('each knows which of them follows', () => {
    expect(joins({}, { volume: 'archive' })).toEqual({ volume: 'archive', node: 'n3' });
    expect(joins({}, { volume: 'log' })).toBeUndefined();
  });

  test('the one that may be taken back follows the one that may not', () => {
    expect(joins({ ...gone, pairing: 0 })).toEqual({ volume: 'log', node: 'n3' });
    expect(joins({ ...gone, phase: 'Completed', pairing: 0 }, { nodes: ['n3'] })).toEqual({ volume: 'log', node: 'n3' });
  });

  test('nobody follows one that was taken back', () => {
    expect(joins({ phase: 'Aborted', pairing: 9 })).toBeUndefined();
  });
});

const someMove = fc.record({
  phase: fc.constantFrom(...PHASES.filter((phase) => phase !== 'Aborted' && phase !== 'Aborting')),
  message: fc.constant(''),
  target: fc.constantFrom('n2', 'n3'),
  pairing: fc.nat(3),
  proven: fc.boolean(),
  pointOfNoReturn: fc.constant(false),
  abortedByPerson: fc.constant(false),
});
const members = fc.array(fc.record({ move: someMove, held: fc.boolean() }), { minLength: 2, maxLength: 5 });

/** What each of them sees of the others. */
function verdictsOf(group: readonly { readonly move: CompanionMove; readonly held: boolean }[]) {
  const companions = group.map(({ move, held }, at): Companion => {
    return { volume: `v${at}`, nodes: ['n1'], heldBy: held ? ['pod default/p'] : [], move, isDue: true };
  });
  return companions.map(({ volume, move }, at) => {
    const mine = { volume, sourceNode: 'n1', target: move!.target!, pairing: move!.pairing };
    return judgeCompanions(mine, companions.toSpliced(at, 1));
  });
}

test('unless all are proven, free and on their way to one node, at most one waits for nobody', () => {
  fc.assert(
    fc.property(members, (group) => {
      const ready = ({ move, held }: (typeof group)[number]) =>
        move.proven && !held && !['Reserving', 'NeedsAttention', 'Completed'].includes(move.phase) && move.target === group[0]!.move.target;
      const waiting = verdictsOf(group).filter(({ awaits }) => awaits.length > 0).length;
      if (group.every(ready)) expect(waiting).toBe(0);
      else expect(waiting).toBeGreaterThanOrEqual(group.length - 1);
    }),
  );
});

test('two that have different targets never follow each other, and one of them follows', () => {
  fc.assert(
    fc.property(fc.tuple(someMove, someMove), ([a, b]) => {
      fc.pre(a.target !== b.target && a.phase !== 'Completed' && b.phase !== 'Completed');
      const following = verdictsOf([a, b].map((move) => ({ move, held: false }))).filter(({ joins }) => joins !== undefined);
      expect(following).toHaveLength(1);
    }),
  );
});

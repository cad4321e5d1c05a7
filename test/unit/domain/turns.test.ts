import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TurnRequest } from '../../../core/contracts/migration.ts';
import { askForTurn, giveTurnBack, grantTurns, NO_TURNS, type Turns } from '../../../core/domain/turns.ts';

const LIMITS = { perNode: 1, perCluster: 2 };

/** `a n1 n2`: volume a from n1 to n2; `a n1 n2 pod`: a pod waits for it. */
function request(text: string): TurnRequest {
  const [volume = '', source = '', target = '', pod] = text.split(' ');
  return { volume, source, target, ...(pod && { hasUsers: true }) };
}

/** All that asked, in this order, after each has got what it can. */
function asked(requests: readonly string[], limits = LIMITS): Turns {
  return requests.reduce((turns, text) => grantTurns(askForTurn(turns, request(text), limits)).turns, NO_TURNS);
}

const volumes = (requests: Turns['running']) => requests.map(({ volume }) => volume);

describe('a turn is given', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['to whom nobody is in the way of', ['a n1 n2'], ['a']],
    ['not where the source has enough to do', ['a n1 n2', 'b n1 n3'], ['a']],
    ['not where the target has enough to do', ['a n1 n3', 'b n2 n3'], ['a']],
    ['not where the target is the source of another', ['a n1 n2', 'b n3 n1'], ['a']],
    ['to one that came later, if the one before it waits for other nodes', ['a n1 n2', 'b n1 n3', 'c n3 n4'], ['a', 'c']],
    ['not beyond what the cluster may do', ['a n1 n2', 'b n3 n4', 'c n5 n6'], ['a', 'b']],
  ])('%s', (_, requests, running) => {
    expect(volumes(asked(requests).running)).toEqual(running);
  });
});

test('a turn that is given back goes to the first who can use it', () => {
  const { granted, turns } = grantTurns(giveTurnBack(asked(['a n1 n2', 'b n1 n3', 'c n1 n2']), 'a'));
  expect(volumes(granted)).toEqual(['b']);
  expect(volumes(turns.waiting)).toEqual(['c']);
});

test('what a pod waits for goes before what nobody uses, and to nobody who has a turn is it taken away', () => {
  const busy = asked(['a n1 n2', 'b n1 n2', 'c n1 n2 pod', 'd n1 n2 pod']);
  expect(volumes(busy.running)).toEqual(['a']);
  const { granted, turns } = grantTurns(giveTurnBack(busy, 'a'));
  expect(volumes(granted)).toEqual(['c']);
  expect(volumes(turns.waiting)).toEqual(['b', 'd']);
});

test('who asks again is told again, and keeps turn and place', () => {
  const again = grantTurns(askForTurn(asked(['a n1 n2', 'b n1 n3', 'c n1 n2']), request('a n1 n2'), LIMITS));
  expect(volumes(again.granted)).toEqual(['a']);
  expect(volumes(askForTurn(again.turns, request('b n1 n4'), LIMITS).waiting)).toEqual(['b', 'c']);
});

test('new limits hold from the next request on, and take nothing away', () => {
  const more = grantTurns(askForTurn(asked(['a n1 n2', 'b n1 n3']), request('c n1 n4'), { perNode: 3, perCluster: 3 }));
  expect(volumes(more.granted)).toEqual(['b', 'c']);
  const fewer = grantTurns(askForTurn(more.turns, request('d n5 n6'), LIMITS));
  expect(volumes(fewer.turns.running)).toEqual(['a', 'b', 'c']);
});

const node = fc.constantFrom('n1', 'n2', 'n3', 'n4');
const step = fc.oneof(
  fc.record({ ask: fc.constantFrom(...'abcdefgh'), source: node, target: node }),
  fc.record({ giveBack: fc.constantFrom(...'abcdefgh') }),
);

test('whatever is asked and given back, the limits hold, nobody is there twice, and nobody waits without cause', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      (steps, perNode, perCluster) => {
        let turns: Turns = NO_TURNS;
        for (const each of steps) {
          const changed =
            'ask' in each
              ? askForTurn(turns, { volume: each.ask, source: each.source, target: each.target }, { perNode, perCluster })
              : giveTurnBack(turns, each.giveBack);
          turns = grantTurns(changed).turns;
          const { running, waiting, limits } = turns;
          const parts = (name: string) => running.filter(({ source, target }) => source === name || target === name).length;
          expect(running.length).toBeLessThanOrEqual(limits.perCluster);
          for (const name of ['n1', 'n2', 'n3', 'n4']) expect(parts(name)).toBeLessThanOrEqual(limits.perNode);
          const all = volumes([...running, ...waiting]);
          expect(new Set(all).size).toBe(all.length);
          const stuck = waiting.filter(({ source, target }) => parts(source) < limits.perNode && parts(target) < limits.perNode);
          if (running.length < limits.perCluster) expect(stuck).toEqual([]);
        }
      },
    ),
  );
});

import { describe, expect, test } from 'vitest';
import { decideNodeDrain, type NodeDrainFacts, needsEviction } from '../../../core/domain/node-drain.ts';

const cordoned: NodeDrainFacts = { managed: true, cordoned: true, disabled: false, before: false, somethingToMove: true, underWay: false };

describe('an eviction', () => {
  test.each<[string, Partial<NodeDrainFacts>, string]>([
    ['starts when a node is cordoned', {}, 'start'],
    ['starts when an empty node is cordoned, so that a person sees an answer', { somethingToMove: false }, 'start'],
    ['starts for a node that was cordoned while nobody looked', { before: undefined }, 'start'],
    ['starts for a volume that turns up on a node emptied before', { before: true }, 'start'],
    ['does not start again and again for a node that is empty', { before: true, somethingToMove: false }, 'nothing'],
    [
      'is not started, but told, where an empty node is found cordoned at the first look',
      { before: undefined, somethingToMove: false },
      'tell',
    ],
    ['is told of an uncordon', { cordoned: false, before: true }, 'tell'],
    ['is told of the label that keeps volumes', { disabled: true, before: true }, 'tell'],
    ['is told of an uncordon that nobody saw', { cordoned: false, before: undefined }, 'tell'],
    ['is not told twice', { cordoned: false, before: false }, 'nothing'],
    ['starts when the label goes from a cordoned node', { disabled: false, before: false }, 'start'],
    ['is told when our storage goes from the node', { managed: false, before: true }, 'tell'],
    ['is none of a node without our storage', { managed: false, before: undefined }, 'nothing'],
  ])('%s', (_, change, decision) => {
    expect(decideNodeDrain({ ...cordoned, ...change })).toBe(decision);
  });
});

describe('an eviction that does not run', () => {
  test.each<[string, Partial<NodeDrainFacts>, boolean]>([
    ['is missed where something is to be moved', {}, true],
    ['is not missed on a node that was emptied', { somethingToMove: false }, false],
    ['is not missed where the volumes are to stay', { disabled: true }, false],
    ['is missed where what was begun has to be taken back', { cordoned: false, underWay: true }, true],
    ['is none of a node without our storage', { managed: false, underWay: true }, false],
  ])('%s', (_, change, missed) => {
    expect(needsEviction({ ...cordoned, ...change })).toBe(missed);
  });
});

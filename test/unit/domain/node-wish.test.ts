import { describe, expect, test } from 'vitest';
import { isToBeEmptied, whyKept } from '../../../core/domain/node-wish.ts';

const node = (unschedulable?: boolean, label?: string) => ({
  metadata: { name: 'n1', ...(label !== undefined && { labels: { 'hwameistor.io/eviction': label } }) },
  spec: { ...(unschedulable !== undefined && { unschedulable }) },
});

describe('a node is to be emptied', () => {
  test.each<[string, ReturnType<typeof node> | undefined, boolean]>([
    ['when it is cordoned', node(true), true],
    ['also with a label that says something else', node(true, 'start'), true],
    ['but not when its label disables evictions', node(true, 'disable'), false],
    ['but not when it takes pods', node(false), false],
    ['but not when nobody ever cordoned it', node(), false],
    ['but not when it is gone', undefined, false],
  ])('%s', (_, seen, emptied) => {
    expect(isToBeEmptied(seen)).toBe(emptied);
  });
});

test('only the label that disables evictions keeps what is on a node, cordoned or not', () => {
  expect(whyKept(node(true, 'disable'))).toBe('node n1 has label hwameistor.io/eviction=disable');
  expect(whyKept(node(false, 'disable'))).toBeDefined();
  expect([node(true), node(true, 'start'), undefined].map(whyKept)).toEqual([undefined, undefined, undefined]);
});

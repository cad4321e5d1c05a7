import { describe, expect, test } from 'vitest';
import { describeEviction, describeMigration, type MigrationView } from '../../../core/domain/progress.ts';

const view: MigrationView = {
  volume: 'data',
  phase: 'Syncing',
  sourceNode: 'n1',
  targetNode: 'n2',
  message: 'copies to n2',
  done: { percent: 42, at: Date.UTC(2026, 0, 1, 12, 3, 5) },
  waitsForApiServer: false,
  abortable: true,
};

describe('a migration is described', () => {
  test('by what moves where, how far it is, and what a person may do', () => {
    expect(describeMigration(view)).toBe(
      '**data** from **n1** to **n2**\n\n- Syncing, 42 % at 12:03:05 UTC: copies to n2\n- signal `abort` (or Request Cancellation) leaves the volume where it is',
    );
  });

  test('before it has a target', () => {
    const { targetNode, done, ...pending } = view;
    expect(describeMigration({ ...pending, phase: 'Reserving' })).toMatch(
      /^\*\*data\*\* from \*\*n1\*\* to a node not chosen yet\n\n- Reserving: /,
    );
  });

  test('with the reason of each node that cannot take it', () => {
    const { targetNode, done, ...waiting } = view;
    const refusals = { n1: 'SourceNode', n2: 'PoolFull' } as const;
    const described = describeMigration({ ...waiting, phase: 'Reserving', message: 'no node can take the volume', refusals });
    expect(described.split('\n').slice(2, 5)).toEqual([
      '- Reserving: no node can take the volume',
      '  - n1: SourceNode',
      '  - n2: PoolFull',
    ]);
  });

  test('as waiting for the API server while that does not answer', () => {
    expect(describeMigration({ ...view, waitsForApiServer: true }).split('\n')[3]).toBe('- waits for the API server');
  });

  test('with what failed last and how it goes on, on one line each', () => {
    const described = describeMigration({
      ...view,
      phase: 'NeedsAttention',
      lastFailure: 'CommandFailed: lvcreate\n  said | no',
      abortable: false,
    });
    expect(described.split('\n').slice(3)).toEqual([
      '- last failure: CommandFailed: lvcreate said \\| no',
      '- signal `retry` goes on',
      '- past the point of no return: it only goes forward',
    ]);
  });
});

describe('an eviction is described', () => {
  const eviction = { node: 'n1', held: [], troubles: [], waitsForApiServer: false };
  const facts = {
    exists: true,
    cordoned: true,
    disabled: false,
    volumes: [
      { volume: 'log', held: true },
      { volume: 'data', held: false },
      { volume: 'late', held: false },
      { volume: 'wal', held: false, stays: { kind: 'kept' as const, why: 'somebody says so' } },
    ],
    running: [{ volume: 'data', phase: 'Syncing' as const, target: 'n2', message: 'copies to n2', percent: 42 }],
  };

  test('by a table with a row for each volume', () => {
    expect(describeEviction({ ...eviction, facts, held: ['log'] }).split('\n')).toEqual([
      '**n1**: cordoned, its volumes move',
      '',
      '| volume | target | phase | done | what happens |',
      '| --- | --- | --- | --- | --- |',
      '| data | n2 | Syncing | 42 % | copies to n2 |',
      '| late |  |  |  | not begun |',
      '| log |  |  |  | held back by a person until the node is uncordoned |',
      '| wal |  |  |  | wal is kept (somebody says so) |',
    ]);
  });

  test.each([
    ['cordoned', {}, 'cordoned, its volumes move; no volume is left'],
    ['uncordoned', { cordoned: false }, 'not cordoned, nothing is to move; no volume is left'],
    ['labelled', { disabled: true }, 'label hwameistor.io/eviction=disable keeps its volumes; no volume is left'],
    ['deleted', { exists: false }, 'the node is gone; no volume is left'],
  ])('of an empty node that is %s', (_, change, text) => {
    expect(describeEviction({ ...eviction, facts: { ...facts, ...change, volumes: [], running: [] } })).toBe(`**n1**: ${text}`);
  });

  test('with the time until which a short absence is waited for', () => {
    const [first] = describeEviction({ ...eviction, facts, waitsUntil: Date.UTC(2026, 0, 1, 12) }).split('\n');
    expect(first).toBe('**n1**: cordoned, its volumes move from 2026-01-01T12:00:00.000Z on, unless it is uncordoned before');
  });

  test('with what failed and what it waits for, also before anything was seen of the node', () => {
    const described = describeEviction({ ...eviction, waitsForApiServer: true, troubles: ['move data: Error: try | later'] });
    expect(described.split('\n')).toEqual([
      '**n1**: not looked at yet',
      '',
      '- waits for the API server',
      '- failed, and is tried again: move data: Error: try \\| later',
    ]);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EvictedMigration } from '../../../core/contracts/cluster-activities.ts';
import type { Phase } from '../../../core/contracts/phases.ts';
import { NONE_STANDS, rememberStandstills, type Standstills, standstillLimit, untilStandstill } from '../../../core/domain/standstill.ts';

const MINUTE = 60_000;
const LIMIT = 10 * MINUTE;
const moving = (phase: Phase, more: Partial<EvictedMigration> = {}): EvictedMigration => ({
  volume: 'a',
  phase,
  message: 'says why',
  pointOfNoReturn: false,
  ...more,
});

/** One look a minute, each at what is given. */
function watch(looks: readonly (EvictedMigration | readonly EvictedMigration[])[], every = MINUTE): Standstills {
  let known: Standstills = NONE_STANDS;
  for (const [index, look] of looks.entries()) {
    const migrations = Array.isArray(look) ? look : [look];
    known = rememberStandstills(
      known,
      migrations.map((migration: EvictedMigration) => ({ volume: migration.volume, migration })),
      index * every,
    );
  }
  return known;
}
const stoodMinutes = (looks: Parameters<typeof watch>[0], volume = 'a') => watch(looks).standstills[volume]!.stoodMilliseconds / MINUTE;
const times = <T>(count: number, ...parts: readonly T[]) => Array.from({ length: count }, () => parts).flat();

describe('a volume', () => {
  test.each<[string, EvictedMigration]>([
    ['waits for a node', moving('Reserving', { reason: 'WaitingForTarget' })],
    ['waits for a pod that uses it', moving('AwaitingDetach', { reason: 'WaitingForDetach' })],
    ["waits for its node's agent", moving('Pending')],
    ['is copied no further', moving('Syncing', { syncedBytes: 5 })],
    ['is taken back and that does not end', moving('Aborting')],
  ])('stands still that %s', (_, migration) => {
    expect(stoodMinutes(times(5, migration))).toBe(4);
  });

  test('stands still whose migration goes round between phases in which it has been, with what is left of an old copy', () => {
    const round = [
      moving('AwaitingDetach', { syncedBytes: 40 }),
      moving('Preparing', { syncedBytes: 40 }),
      moving('Syncing', { syncedBytes: 40 }),
    ];
    expect(stoodMinutes([...round, ...times(5, ...round)])).toBe(15);
  });

  test.each<Phase>(['Aborting', 'NeedsAttention'])('comes forward no more by being %s', (phase) => {
    expect(stoodMinutes([moving('Preparing'), ...times(5, moving(phase))])).toBe(5);
  });

  test('stands still that is kept alike on both nodes while somebody writes to it', () => {
    const kept = times(5, moving('AwaitingDetach', { syncedBytes: 90 }), moving('AwaitingDetach', { syncedBytes: 100 }));
    expect(stoodMinutes([moving('Verifying', { syncedBytes: 100 }), moving('CuttingOver', { syncedBytes: 100 }), ...kept])).toBe(10);
  });

  test('comes forward with each phase that is new on its way', () => {
    const phases: Phase[] = ['Pending', 'Reserving', 'AwaitingDetach', 'Preparing', 'Syncing', 'Verifying', 'CuttingOver'];
    for (const [index] of phases.entries()) expect(stoodMinutes(phases.slice(0, index + 1).map((phase) => moving(phase)))).toBe(0);
  });

  test('comes forward while anything is copied or compared, however slowly, and also of a copy that has begun anew', () => {
    const copied = Array.from({ length: 60 }, (_, minute) => moving('Syncing', { syncedBytes: 1000 + minute }));
    const again = Array.from({ length: 60 }, (_, minute) => moving('Syncing', { syncedBytes: minute }));
    const compared = Array.from({ length: 60 }, (_, minute) => moving('Verifying', { syncedBytes: minute }));
    const closed = Array.from({ length: 60 }, (_, minute) => moving('CuttingOver', { syncedBytes: minute }));
    for (const looks of [copied, [...copied, ...again], [...copied, ...compared], [...compared, ...closed]])
      expect(stoodMinutes(looks)).toBe(0);
  });

  test('is not counted while it waits for its turn to sync; what it stood before still is', () => {
    const inTurn = moving('AwaitingDetach', { reason: 'WaitingForTurn' });
    expect(stoodMinutes(times(50, inTurn))).toBe(0);
    expect(stoodMinutes(times(5, inTurn, moving('Preparing')))).toBe(4);
  });

  test('that waits for another one of its pods stands no longer than that', () => {
    const waits = moving('AwaitingDetach', { reason: 'WaitingForOtherVolumes' });
    const copied = Array.from({ length: 60 }, (_, minute) => [waits, moving('Syncing', { volume: 'b', syncedBytes: minute })]);
    expect(stoodMinutes(copied)).toBe(0);
    const stopped = times(6, [waits, moving('Syncing', { volume: 'b', syncedBytes: 60 })]);
    expect(stoodMinutes([...copied, ...stopped])).toBe(5);
    expect(stoodMinutes(times(5, waits))).toBe(4);
  });

  test('is not given up because nobody could look for an hour', () => {
    const syncing = times(2, moving('Syncing', { syncedBytes: 5 }));
    expect(untilStandstill(watch(syncing, 60 * MINUTE), LIMIT)).toBe(2 * LIMIT - 2 * MINUTE);
  });
});

test('a copy that has begun may stand longer, so that its target can be left for another', () => {
  const limits = (['Pending', 'Reserving', 'AwaitingDetach', 'Preparing', 'Syncing', 'CuttingOver'] as const).map((furthest) =>
    standstillLimit({ furthest, stoodMilliseconds: 0 }, LIMIT),
  );
  expect(limits).toEqual([LIMIT, LIMIT, LIMIT, 2 * LIMIT, 2 * LIMIT, 2 * LIMIT]);
  expect(standstillLimit({ stoodMilliseconds: 0 }, LIMIT)).toBe(LIMIT);
});

test('whatever a migration does without getting further or copying anything, it comes to an end', () => {
  const phase = fc.constantFrom<Phase>(
    'Pending',
    'Reserving',
    'AwaitingDetach',
    'Preparing',
    'Syncing',
    'Verifying',
    'CuttingOver',
    'Aborting',
  );
  fc.assert(
    fc.property(fc.array(phase, { minLength: 200, maxLength: 200 }), (phases) => {
      expect(untilStandstill(watch(phases.map((each) => moving(each, { syncedBytes: 7 }))), LIMIT)).toBeLessThanOrEqual(0);
    }),
  );
});

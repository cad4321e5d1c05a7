import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EndedMigration, judgeRetention, type Retention } from '../../../core/domain/retention.ts';

const HOUR = 3_600_000;
const ended = (change: Partial<EndedMigration> = {}): EndedMigration => ({
  endedAt: 0,
  isProtected: false,
  hasLeftOvers: false,
  hasCompanions: false,
  isHold: false,
  ...change,
});

describe('a LocalVolumeMigrate that has ended', () => {
  test.each<[string, EndedMigration, number, Retention]>([
    ['may be deleted at once', ended({ isProtected: true }), 0, 'release'],
    ['stays', ended(), HOUR - 1, 'keep'],
    ['goes after its time', ended(), HOUR, 'remove'],
    ['may not even be deleted while a node has a share of it', ended({ isProtected: true, hasLeftOvers: true }), 2 * HOUR, 'keep'],
    ['stays as long as a node has a share of it', ended({ hasLeftOvers: true }), 2 * HOUR, 'keep'],
    ['may not even be deleted while others move with it', ended({ isProtected: true, hasCompanions: true }), 2 * HOUR, 'keep'],
    ['stays as long as others move with it', ended({ hasCompanions: true }), 2 * HOUR, 'keep'],
    ['stays as long as it keeps a volume on its node', ended({ isHold: true }), 2 * HOUR, 'keep'],
    ['may be deleted although it keeps a volume on its node', ended({ isHold: true, isProtected: true }), 0, 'release'],
  ])('%s', (_, facts, now, retention) => {
    expect(judgeRetention(facts, HOUR, now)).toBe(retention);
  });

  test('is never removed early, with a share left, with its finalizer, while others move with it or while it keeps a volume', () => {
    const facts = fc.record({
      endedAt: fc.nat(),
      isProtected: fc.boolean(),
      hasLeftOvers: fc.boolean(),
      hasCompanions: fc.boolean(),
      isHold: fc.boolean(),
    });
    fc.assert(
      fc.property(facts, fc.nat(), fc.nat(), (migration, retention, age) => {
        if (judgeRetention(migration, retention, migration.endedAt + age) !== 'remove') return;
        expect(migration).toMatchObject({ isProtected: false, hasLeftOvers: false, hasCompanions: false, isHold: false });
        expect(age).toBeGreaterThanOrEqual(retention);
      }),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { progressSchema } from '../../../core/contracts/objects/index.ts';
import { progressOfSync } from '../../../core/domain/sync-progress.ts';

const MiB = 2 ** 20;

describe('progress in percent, with an estimate', () => {
  test.each([
    ['half way', 128, 256, 32, { percent: 50, etaSeconds: 4 }],
    ['all but a little is not all', 255.999, 256, 32, { percent: 99, etaSeconds: 1 }],
    ['complete', 256, 256, 0, { percent: 100, etaSeconds: 0 }],
  ])('%s', (_, synced, total, rate, expected) => {
    const sync = { syncedBytes: Math.round(synced * MiB), totalBytes: total * MiB, bytesPerSecond: rate * MiB, outOfSyncBytes: 0 };
    expect(progressOfSync(sync)).toMatchObject(expected);
  });

  test('no estimate where nothing moves', () => {
    expect(progressOfSync({ syncedBytes: 0, totalBytes: MiB, bytesPerSecond: 0, outOfSyncBytes: MiB })).not.toHaveProperty('etaSeconds');
  });
});

test('the API server takes whatever a sync may say', () => {
  const bytes = fc.nat({ max: 2 ** 45 });
  fc.assert(
    fc.property(bytes, bytes, fc.nat({ max: 2 ** 32 }), (a, b, bytesPerSecond) => {
      const sync = { syncedBytes: Math.min(a, b), totalBytes: Math.max(a, b), bytesPerSecond, outOfSyncBytes: 0 };
      expect(() => progressSchema.parse(progressOfSync(sync))).not.toThrow();
    }),
  );
});

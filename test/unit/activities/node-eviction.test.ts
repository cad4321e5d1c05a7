import { expect, test } from 'vitest';
import { describeRunning } from '../../../activities/cluster/node-eviction.ts';
import type { LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';

const withMessage = (message: string) =>
  ({ spec: { volumeName: 'data' }, status: { phase: 'Reserving', message } }) as unknown as LocalVolumeMigrate;

test('a drain is told of a migration that waits for any of a thousand nodes in a few words', () => {
  const refusals = Array.from({ length: 1000 }, (_, index) => `n${index}: PoolFull`).join(', ');
  const message = `waits for a target (${refusals})`;
  const { message: told } = describeRunning(withMessage(message));
  expect(told).toHaveLength(500);
  expect(told).toMatch(/^waits for a target \(n0: PoolFull, .*…$/);
  expect(describeRunning(withMessage('waits')).message).toBe('waits');
});

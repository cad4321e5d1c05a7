/** Keeps an agent's control queue busy. */
import { proxyActivities } from '@temporalio/workflow';
import type { NodeActivities } from '../../core/contracts/node-activities.ts';

export async function askOften({ taskQueue, times }: { readonly taskQueue: string; readonly times: number }): Promise<void> {
  // A step that fails is the test's to show, not to be repeated for ever.
  const { observeVolume } = proxyActivities<NodeActivities>({ taskQueue, startToCloseTimeout: '1 minute', retry: { maximumAttempts: 1 } });
  await Promise.all(Array.from({ length: times }, () => observeVolume({ volume: 'data', pool: 'LocalStorage_PoolHDD' })));
}

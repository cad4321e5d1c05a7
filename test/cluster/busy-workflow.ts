/** Keeps an agent's control queue busy. */
import { proxyActivities } from '@temporalio/workflow';
import type { NodeActivities } from '../../core/contracts/node-activities.ts';

export async function askOften({ taskQueue, times }: { readonly taskQueue: string; readonly times: number }): Promise<void> {
  const { observeVolume } = proxyActivities<NodeActivities>({ taskQueue, startToCloseTimeout: '1 minute' });
  await Promise.all(Array.from({ length: times }, () => observeVolume({ volume: 'data', pool: 'LocalStorage_PoolHDD' })));
}

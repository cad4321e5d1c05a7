/** One step each, asked for as Rehome's workflows do. */
import { proxyActivities } from '@temporalio/workflow';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { Mirror } from '../../core/contracts/migration.ts';
import { CONTROLLER_TASK_QUEUE } from '../../core/contracts/names.ts';
import { onControlQueue, onSyncQueue } from '../../workflows/activities.ts';

export async function findMigration(volume: string): Promise<void> {
  const cluster = proxyActivities<ClusterActivities>({ taskQueue: CONTROLLER_TASK_QUEUE, startToCloseTimeout: '1 minute' });
  await cluster.findMigration({ volume });
}

export async function observeVolume(node: string): Promise<void> {
  await onControlQueue({ node, summary: '', answered: [] }).observeVolume({ volume: 'missing', pool: 'vg' });
}

export async function awaitSync(mirror: Mirror): Promise<void> {
  await onSyncQueue({ node: mirror.source.node, summary: '', answered: [] }).awaitSync({ mirror });
}

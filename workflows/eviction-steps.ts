/** What the evictions of a node and of a pod do alike: steps of which one that fails ends nothing, and migrations that are started, told and missed. */
import { getExternalWorkflowHandle, workflowInfo } from '@temporalio/workflow';
import type { MigrateVolumeInput, MigrationEnded } from '../core/contracts/migration.ts';
import { workflowId } from '../core/contracts/names.ts';
import { onCluster } from './activities.ts';
import { failureOf } from './failure.ts';
import { lookAgainSignal } from './messages.ts';

interface Eviction {
  /** What failed since the last look began, and why. */
  readonly troubles: string[];
}

/** @returns undefined where it failed: people are shown what, and the next look plans it again. */
export async function attempt<T>(eviction: Eviction, summary: string, step: (summary: string) => Promise<T>): Promise<T | undefined> {
  try {
    return await step(summary);
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    eviction.troubles.push(`${summary}: ${failure.reason}: ${failure.message}`);
    return undefined;
  }
}

/** @returns whether the whole step was done. */
export async function succeeds(eviction: Eviction, summary: string, step: (summary: string) => Promise<void>): Promise<boolean> {
  const done = await attempt(eviction, summary, async () => {
    await step(summary);
    return true;
  });
  return done === true;
}

/** It tells this workflow how it ends. @returns whether it runs. */
export function startMigration(eviction: Eviction, input: MigrateVolumeInput): Promise<boolean> {
  const { workflowId: follower } = workflowInfo();
  return succeeds(eviction, `move ${input.volume}`, (summary) =>
    onCluster(summary, (cluster) => cluster.startMigration({ ...input, follower })),
  );
}

/** One that runs no more is found by a slow net. */
export async function tellToLookAgain(volume: string): Promise<void> {
  await getExternalWorkflowHandle(workflowId.migrateVolume(volume))
    .signal(lookAgainSignal)
    .catch(() => undefined);
}

/** The slow net: a migration that was terminated tells nobody. */
export async function findEnded(eviction: Eviction, volumes: readonly string[]): Promise<readonly MigrationEnded[]> {
  const find = (summary: string) => onCluster(summary, (cluster) => cluster.findEndedMigrations({ volumes }));
  return (volumes.length === 0 ? [] : await attempt(eviction, 'which migrations run no more?', find)) ?? [];
}

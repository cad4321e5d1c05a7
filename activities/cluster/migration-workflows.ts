/** The migrations' workflows, as the cluster activities start and look at them through Temporal's client. */
import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { MigrateVolumeInput, MigrationEnded } from '../../core/contracts/migration.ts';
import { SearchAttribute, SignalName, WorkflowType, workflowId } from '../../core/contracts/names.ts';
import { describeWorkflow, isUnderWay } from './workflow-handles.ts';

export interface MigrationWorkflows {
  /** Starts the volume's migration, or joins the one that runs: either looks at the world, and tells the `follower`, if there is one, of its end. */
  startOrFollow(input: MigrateVolumeInput, follower?: string): Promise<void>;
  /** How the volume's last migration ended. undefined: it runs. One that was terminated or never was counts as aborted by nobody. */
  endOf(volume: string): Promise<MigrationEnded | undefined>;
}

const KEYWORD = {
  volume: defineSearchAttributeKey(SearchAttribute.volume, 'KEYWORD'),
  sourceNode: defineSearchAttributeKey(SearchAttribute.sourceNode, 'KEYWORD'),
  trigger: defineSearchAttributeKey(SearchAttribute.trigger, 'KEYWORD'),
  phase: defineSearchAttributeKey(SearchAttribute.phase, 'KEYWORD'),
};

/** Workflows that are looked at together. */
const LOOKED_AT_TOGETHER = 10;

type Deps = { readonly workflows: MigrationWorkflows };

export const startMigration =
  ({ workflows }: Deps): ClusterActivities['startMigration'] =>
  async ({ follower, ...input }) =>
    workflows.startOrFollow(input, follower);

export const findEndedMigrations =
  ({ workflows }: Deps): ClusterActivities['findEndedMigrations'] =>
  async ({ volumes }) => {
    const ended: MigrationEnded[] = [];
    for (let index = 0; index < volumes.length; index += LOOKED_AT_TOGETHER) {
      const looks = volumes.slice(index, index + LOOKED_AT_TOGETHER).map((volume) => workflows.endOf(volume));
      ended.push(...(await Promise.all(looks)).filter((end) => end !== undefined));
    }
    return ended;
  };

export function createMigrationWorkflows(client: Client, taskQueue: string): MigrationWorkflows {
  return {
    async startOrFollow(input, follower) {
      const signalArgs: string[] = follower === undefined ? [] : [follower];
      await client.workflow.signalWithStart(WorkflowType.migrateVolume, {
        workflowId: workflowId.migrateVolume(input.volume),
        taskQueue,
        args: [input],
        signal: follower === undefined ? SignalName.lookAgain : SignalName.follow,
        signalArgs,
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: `${input.volume} leaves ${input.sourceNode}`,
        staticDetails: `Moves volume ${input.volume} away from node ${input.sourceNode} (${input.trigger}). Signals: \`retry\`, \`abort\`.`,
        typedSearchAttributes: [
          { key: KEYWORD.volume, value: input.volume },
          { key: KEYWORD.sourceNode, value: input.sourceNode },
          { key: KEYWORD.trigger, value: input.trigger },
          { key: KEYWORD.phase, value: 'Pending' },
        ],
      });
    },

    async endOf(volume): Promise<MigrationEnded | undefined> {
      const run = await describeWorkflow(client, workflowId.migrateVolume(volume));
      if (isUnderWay(run)) return undefined;
      if (run?.status.name !== 'COMPLETED') {
        const sourceNode = run?.typedSearchAttributes.get(KEYWORD.sourceNode) ?? '';
        return { volume, sourceNode, outcome: 'Aborted', abortedByPerson: false };
      }
      // Of this run: another may have started since, and its result would be waited for.
      return client.workflow.result<() => Promise<MigrationEnded>>(run.workflowId, run.runId);
    },
  };
}

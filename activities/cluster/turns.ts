/** Turns to sync, as migrations ask the workflow that hands them out, through Temporal's client. */
import type { Client } from '@temporalio/client';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { TurnLimits, TurnRequest } from '../../core/contracts/migration.ts';
import { SignalName, WorkflowType, workflowId } from '../../core/contracts/names.ts';
import { signalWorkflow } from './workflow-handles.ts';

export interface SyncTurns {
  readonly limits: TurnLimits;
  ask(request: TurnRequest): Promise<void>;
  giveBack(volume: string): Promise<void>;
}

type Deps = { readonly turns: SyncTurns };

export const requestTurn =
  ({ turns }: Deps): ClusterActivities['requestTurn'] =>
  async (request) => {
    await turns.ask(request);
    return turns.limits;
  };

export const releaseTurn =
  ({ turns }: Deps): ClusterActivities['releaseTurn'] =>
  ({ volume }) =>
    turns.giveBack(volume);

export function createSyncTurns(client: Client, taskQueue: string, limits: TurnLimits, id: string = workflowId.limitSyncs): SyncTurns {
  return {
    limits,
    async ask(request) {
      await client.workflow.signalWithStart(WorkflowType.limitSyncs, {
        workflowId: id,
        taskQueue,
        args: [],
        signal: SignalName.requestTurn,
        signalArgs: [request, limits],
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: 'hands out turns to sync',
        staticDetails: 'Keeps the number of simultaneous syncs within the limits, for each node and in the cluster.',
      });
    },
    async giveBack(volume) {
      // Where nobody keeps turns there is none to give back.
      await signalWorkflow(client, id, SignalName.releaseTurn, volume);
    },
  };
}

/** What triggers say to workflows, through Temporal's client. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { SearchAttribute, SignalName, type Trigger, WorkflowType, workflowId } from '../core/contracts/names.ts';

export interface WorkflowSignals {
  /** Starts the node's eviction, or tells the one that runs to look again. */
  evictNode(node: string): Promise<void>;
  isEvicting(node: string): Promise<boolean>;
  /** Tells the node's eviction to look again, if it runs. */
  nodeChanged(node: string): Promise<void>;
  /** @returns false: no migration of this volume runs. */
  lookAgain(volume: string): Promise<boolean>;
  /** @returns false: no migration of this volume runs. */
  abort(volume: string): Promise<boolean>;
}

const sourceNode = defineSearchAttributeKey(SearchAttribute.sourceNode, 'KEYWORD');
const trigger = defineSearchAttributeKey(SearchAttribute.trigger, 'KEYWORD');

export function createWorkflowSignals(client: Client, taskQueue: string): WorkflowSignals {
  const signal = async (id: string, name: string): Promise<boolean> => {
    try {
      await client.workflow.getHandle(id).signal(name);
      return true;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  };
  return {
    async evictNode(node) {
      await client.workflow.signalWithStart(WorkflowType.evictNode, {
        workflowId: workflowId.evictNode(node),
        taskQueue,
        args: [{ node }],
        signal: SignalName.nodeChanged,
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: `node ${node}: all volumes move away`,
        staticDetails: `Node ${node} is cordoned: each of its volumes moves to another node. Uncordon it to take that back.`,
        typedSearchAttributes: [
          { key: sourceNode, value: node },
          { key: trigger, value: 'node-drain' satisfies Trigger },
        ],
      });
    },
    async isEvicting(node) {
      try {
        return (await client.workflow.getHandle(workflowId.evictNode(node)).describe()).status.name === 'RUNNING';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    },
    async nodeChanged(node) {
      await signal(workflowId.evictNode(node), SignalName.nodeChanged);
    },
    lookAgain: (volume) => signal(workflowId.migrateVolume(volume), SignalName.lookAgain),
    abort: (volume) => signal(workflowId.migrateVolume(volume), SignalName.abort),
  };
}

/** What triggers say to workflows, through Temporal's client. */
import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { describeWorkflow, isUnderWay, signalWorkflow } from '../activities/cluster/workflow-handles.ts';
import type { EvictPodInput } from '../core/contracts/migration.ts';
import { SearchAttribute, SignalName, type Trigger, WorkflowType, workflowId } from '../core/contracts/names.ts';

export interface WorkflowSignals {
  /** Starts the node's eviction, or tells the one that runs to look again. */
  evictNode(node: string): Promise<void>;
  isEvicting(node: string): Promise<boolean>;
  /** Tells the node's eviction to look again, if it runs. */
  nodeChanged(node: string): Promise<void>;
  /** Starts the pod's eviction, or tells the one that runs to look again. */
  evictPod(input: EvictPodInput): Promise<void>;
  isEvictingPod(uid: string): Promise<boolean>;
  /** @returns false: no migration of this volume runs. */
  lookAgain(volume: string): Promise<boolean>;
  /** @returns false: no migration of this volume runs. */
  abort(volume: string): Promise<boolean>;
}

const sourceNode = defineSearchAttributeKey(SearchAttribute.sourceNode, 'KEYWORD');
const trigger = defineSearchAttributeKey(SearchAttribute.trigger, 'KEYWORD');

export function createWorkflowSignals(client: Client, taskQueue: string): WorkflowSignals {
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
    isEvicting: async (node) => isUnderWay(await describeWorkflow(client, workflowId.evictNode(node))),
    async nodeChanged(node) {
      await signalWorkflow(client, workflowId.evictNode(node), SignalName.nodeChanged);
    },
    async evictPod(input) {
      const { pod, node } = input;
      await client.workflow.signalWithStart(WorkflowType.evictPod, {
        workflowId: workflowId.evictPod(pod.uid),
        taskQueue,
        args: [input],
        signal: SignalName.podChanged,
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: `pod ${pod.namespace}/${pod.name}: its volumes leave ${node}`,
        staticDetails: `The pod was evicted from node ${node}: its volumes move to another one, and its successors start there.`,
        typedSearchAttributes: [
          { key: sourceNode, value: node },
          { key: trigger, value: 'pod-eviction' satisfies Trigger },
        ],
      });
    },
    isEvictingPod: async (uid) => isUnderWay(await describeWorkflow(client, workflowId.evictPod(uid))),
    lookAgain: (volume) => signalWorkflow(client, workflowId.migrateVolume(volume), SignalName.lookAgain),
    abort: (volume) => signalWorkflow(client, workflowId.migrateVolume(volume), SignalName.abort),
  };
}

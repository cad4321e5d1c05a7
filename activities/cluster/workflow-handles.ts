/** Workflows that are known by their ids, and may not be there. */
import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';

/** @returns undefined: there is none of this id. */
export async function describeWorkflow(client: Client, workflowId: string): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** It has not ended: one that a person has paused goes on one day. */
export const isUnderWay = (run: WorkflowExecutionDescription | undefined): boolean =>
  run?.status.name === 'RUNNING' || run?.status.name === 'PAUSED';

/** @returns false: none of this id runs. */
export async function signalWorkflow(client: Client, workflowId: string, signal: string, ...args: unknown[]): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflowId).signal(signal, ...args);
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

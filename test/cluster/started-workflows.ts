/** What was said to workflows on a Temporal server where no worker runs: it stands in their histories. */
import { type Client, isGrpcServiceError } from '@temporalio/client';

/** Of gRPC. */
const NOT_FOUND = 5;

/** @returns undefined: there is no such workflow. */
export async function eventsOf(temporal: Client, id: string) {
  try {
    return (await temporal.workflow.getHandle(id).fetchHistory()).events ?? [];
  } catch (error) {
    if (isGrpcServiceError(error) && error.code === NOT_FOUND) return undefined;
    throw error;
  }
}

/** Names of the signals a workflow has got. @returns undefined: there is no such workflow. */
export async function signalsOf(temporal: Client, id: string): Promise<readonly string[] | undefined> {
  const events = await eventsOf(temporal, id);
  return events?.flatMap(({ workflowExecutionSignaledEventAttributes: signaled }) => signaled?.signalName ?? []);
}

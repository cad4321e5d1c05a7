import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { MigrationEnded, MigrationProgress } from '../../core/contracts/migration.ts';
import { SignalName } from '../../core/contracts/names.ts';
import type { History } from './histories.ts';

/** One run of a migration's workflow. */
export class MigrationHandle {
  readonly #handle: WorkflowHandle<() => Promise<MigrationEnded>>;
  readonly #environment: TestWorkflowEnvironment;

  constructor(handle: WorkflowHandle<() => Promise<MigrationEnded>>, environment: TestWorkflowEnvironment) {
    this.#handle = handle;
    this.#environment = environment;
  }

  result = (): Promise<MigrationEnded> => this.#handle.result();
  progress = (): Promise<MigrationProgress> => this.#handle.query('progress');
  retry = (): Promise<void> => this.#handle.signal(SignalName.retry);
  abort = (): Promise<void> => this.#handle.signal(SignalName.abort);
  lookAgain = (): Promise<void> => this.#handle.signal(SignalName.lookAgain);
  cancel = (): Promise<unknown> => this.#handle.cancel();
  terminate = (): Promise<unknown> => this.#handle.terminate('by a test');
  history = () => this.#handle.fetchHistory();
  describe = () => this.#handle.describe();

  details = (): Promise<string> => currentDetails(this.#handle);

  /** Begins anew from the first task. @returns the new run. */
  reset = (): Promise<MigrationHandle> => this.#resetTo();

  /** Begins anew from the task in which a step was asked for. @param role of a report, its phase; of a step on a node, `n1` and the like. */
  async resetBefore(activity: string, role?: string): Promise<MigrationHandle> {
    const { events } = await this.history();
    const scheduled = (events ?? []).map(({ activityTaskScheduledEventAttributes }) => activityTaskScheduledEventAttributes);
    const found = scheduled.find((step) => step?.activityType?.name === activity && (!role || concerns(step, role)));
    if (!found) throw new Error(`the history tells of no ${activity} ${role}`);
    return this.#resetTo(Number(found.workflowTaskCompletedEventId));
  }

  async #resetTo(taskCompletedEventId?: number): Promise<MigrationHandle> {
    return new MigrationHandle(await resetWorkflow(this.#environment, this.#handle, taskCompletedEventId), this.#environment);
  }
}

/** As "Reset" in the Web UI: to a task that was completed, by default the first. @returns the new run. */
export async function resetWorkflow(
  { client, namespace = 'default' }: TestWorkflowEnvironment,
  handle: WorkflowHandle,
  taskCompletedEventId?: number,
): Promise<WorkflowHandle<() => Promise<MigrationEnded>>> {
  const { workflowId: id, runId } = await handle.describe();
  const { events } = await client.workflow.getHandle(id, runId).fetchHistory();
  const firstTask = events?.find(({ workflowTaskCompletedEventAttributes }) => workflowTaskCompletedEventAttributes);
  const answer = await client.workflowService.resetWorkflowExecution({
    namespace,
    workflowExecution: { workflowId: id, runId },
    reason: 'by a test',
    requestId: randomUUID(),
    workflowTaskFinishEventId: (taskCompletedEventId ?? Number(firstTask?.eventId)) as never,
  });
  return client.workflow.getHandle(id, answer.runId);
}

/** What the Web UI shows as current details. */
export async function currentDetails(handle: WorkflowHandle): Promise<string> {
  const metadata = await handle.query<{ currentDetails?: string }, []>('__temporal_workflow_metadata');
  return metadata.currentDetails ?? '';
}

type ScheduledStep = NonNullable<NonNullable<History['events']>[number]['activityTaskScheduledEventAttributes']>;

/** Whether a step runs on that node, or reports that phase. */
function concerns({ taskQueue, input }: ScheduledStep, role: string): boolean {
  const [argument] = (input?.payloads ?? []).map(({ data }) => JSON.parse(Buffer.from(data ?? []).toString()));
  return taskQueue?.name?.startsWith(`node-${role}-`) === true || argument?.phase === role;
}

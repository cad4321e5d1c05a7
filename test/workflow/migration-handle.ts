import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { MigrationEnded, MigrationProgress } from '../../core/contracts/migration.ts';
import { SignalName } from '../../core/contracts/names.ts';

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

  /** Begins anew from the first task, as "Reset" in the Web UI. @returns the new run. */
  async reset(): Promise<MigrationHandle> {
    const { workflowId: id, runId } = await this.#handle.describe();
    const { client, namespace = 'default' } = this.#environment;
    const answer = await client.workflowService.resetWorkflowExecution({
      namespace,
      workflowExecution: { workflowId: id, runId },
      reason: 'by a test',
      requestId: randomUUID(),
      workflowTaskFinishEventId: 4 as never,
    });
    return new MigrationHandle(client.workflow.getHandle(id, answer.runId), this.#environment);
  }
}

/** What the Web UI shows as current details. */
export async function currentDetails(handle: WorkflowHandle): Promise<string> {
  const metadata = await handle.query<{ currentDetails?: string }, []>('__temporal_workflow_metadata');
  return metadata.currentDetails ?? '';
}

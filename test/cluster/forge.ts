/** Puts tasks into an agent's queue, as anybody can who reaches Temporal. */
import { ActivityFailure, ApplicationFailure, proxyActivities } from '@temporalio/workflow';

export interface ForgedTask {
  readonly activity: string;
  readonly request: unknown;
}

/** @returns for each task the reason why it failed, `done` where it did not. */
export async function forge({
  taskQueue,
  tasks,
}: {
  readonly taskQueue: string;
  readonly tasks: readonly ForgedTask[];
}): Promise<string[]> {
  const activities = proxyActivities<Record<string, (request: unknown) => Promise<unknown>>>({
    taskQueue,
    startToCloseTimeout: '1 minute',
    retry: { maximumAttempts: 1 },
  });
  return Promise.all(
    tasks.map(async ({ activity, request }) => {
      try {
        await activities[activity]!(request);
        return 'done';
      } catch (error) {
        const cause = error instanceof ActivityFailure ? error.cause : undefined;
        return cause instanceof ApplicationFailure ? (cause.type ?? 'Error') : String(cause ?? error);
      }
    }),
  );
}

/** The attempt of an activity that runs: what Temporal knows of it and offers to it. */
import { Context } from '@temporalio/activity';

export interface Attempt {
  /** Milliseconds of Temporal's clock; rises over attempts, runs and resets of a workflow, and so tells a late attempt from an overtaken one. */
  readonly scheduledAt: number;
  /** Shows progress, and keeps a long wait alive. @throws where the activity is cancelled, or its worker shuts down. */
  readonly heartbeat: (details: unknown) => void;
  /** Keeps a wait alive that has no progress to show. @throws as `heartbeat`. */
  readonly keepAlive: () => void;
  /** @throws as `heartbeat`. */
  readonly sleep: (milliseconds: number) => Promise<void>;
}

export function temporalAttempt(): Attempt {
  const context = Context.current();
  const heartbeat = (details?: unknown) => {
    context.heartbeat(details);
    context.cancellationSignal.throwIfAborted();
  };
  return {
    scheduledAt: context.info.currentAttemptScheduledTimestampMs,
    heartbeat,
    keepAlive: () => heartbeat(),
    sleep: (milliseconds) => context.sleep(milliseconds),
  };
}

/** The attempt of an activity that runs: what Temporal knows of it and offers to it. */
import { Context } from '@temporalio/activity';

export interface Attempt {
  /** Milliseconds of Temporal's clock; rises over attempts, runs and resets of a workflow, and so tells a late attempt from an overtaken one. */
  readonly scheduledAt: number;
  /** Shows progress, and keeps a long wait alive. @throws where the activity is cancelled, or its worker shuts down. */
  readonly heartbeat: (details: unknown) => void;
  /** @throws as `heartbeat`. */
  readonly sleep: (milliseconds: number) => Promise<void>;
}

export function temporalAttempt(): Attempt {
  const context = Context.current();
  return {
    scheduledAt: context.info.currentAttemptScheduledTimestampMs,
    heartbeat: (details) => {
      context.heartbeat(details);
      context.cancellationSignal.throwIfAborted();
    },
    sleep: (milliseconds) => context.sleep(milliseconds),
  };
}

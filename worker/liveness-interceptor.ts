/**
 * Tells Temporal that the process which runs a step is alive. Its death is known within the heartbeat timeout then, and the step begins again
 * elsewhere; without it only the step's own time limit says so, while pods may be waiting for their volume.
 *
 * For steps that have nothing to show. What waits for minutes tells its progress itself, and stops telling where it hangs.
 */
import type { Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';

/** A third of the steps' heartbeat timeout of 10 s (workflows/activities.ts). */
export const LIVENESS_MILLISECONDS = 3000;

/** For `interceptors.activity` of a worker, which should not hold heartbeats back for longer than `LIVENESS_MILLISECONDS`. */
export function livenessInterceptor(): (context: Context) => ActivityInterceptors {
  return (context) => ({
    inbound: {
      async execute(input, next) {
        const timer = setInterval(() => context.heartbeat(), LIVENESS_MILLISECONDS);
        try {
          return await next(input);
        } finally {
          clearInterval(timer);
        }
      },
    },
  });
}

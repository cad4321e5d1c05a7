/** Everything that every activity has in common, of whichever process: a line in the log, typed errors, fault points. */
import type { Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';
import { toActivityError } from './activity-errors.ts';
import type { ReachFaultPoint } from './faults.ts';
import type { Logger } from './logging.ts';

/** For `interceptors.activity` of a worker. Failures are logged by the SDK, with the same names. */
export function activityInterceptor(logger: Logger, reachFaultPoint: ReachFaultPoint): (context: Context) => ActivityInterceptors {
  return ({ info: { activityType, workflowExecution, attempt } }) => ({
    inbound: {
      async execute(input, next) {
        const startedAt = performance.now();
        try {
          reachFaultPoint('before', activityType);
          const result = await next(input);
          reachFaultPoint('after', activityType);
          const fields = { workflowId: workflowExecution?.workflowId, attempt, ms: Math.round(performance.now() - startedAt) };
          logger.info(fields, activityType);
          return result;
        } catch (error) {
          throw toActivityError(error);
        }
      },
    },
  });
}

/**
 * How workflows call activities: on which queue, within which time, how often.
 *
 * No activity has a scheduleToStartTimeout: a step for a node whose agent is away stays in its queue, costs nothing there and runs within seconds of
 * the agent's return. Every activity says how it is cancelled, because by default a cancelled one is waited for, on a dead node for ever.
 */
import { type ActivityOptions, proxyActivities, type RetryPolicy } from '@temporalio/workflow';
import type { ClusterActivities } from '../core/contracts/cluster-activities.ts';
import { controlTaskQueue, syncTaskQueue } from '../core/contracts/names.ts';
import type { NodeActivities } from '../core/contracts/node-activities.ts';
import { PERMANENT_ERRORS } from '../core/contracts/reasons.ts';
import { failureOf } from './failure.ts';

/** About a minute in all, without the time of the attempts. */
const RETRY: RetryPolicy = {
  initialInterval: '1 second',
  backoffCoefficient: 2,
  maximumInterval: '15 seconds',
  maximumAttempts: 8,
  nonRetryableErrorTypes: [...PERMANENT_ERRORS],
};

/** By which the death of a worker or of a node is known: its process keeps every step alive (worker/liveness-interceptor.ts), or the step itself. */
const HEARTBEAT_TIMEOUT = '10 seconds';

const ON_CLUSTER = {
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  // An answer that is under way must not take effect behind the back of what follows.
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: RETRY,
} as const satisfies ActivityOptions;

const ON_CONTROL_QUEUE = {
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  // At once, for the agent may be away. An attempt that is under way there is held back by the volume's lock and its fencing token.
  cancellationType: 'TRY_CANCEL',
  retry: RETRY,
} as const satisfies ActivityOptions;

const ON_SYNC_QUEUE = {
  ...ON_CONTROL_QUEUE,
  // A volume of many terabytes over a slow link.
  startToCloseTimeout: '7 days',
  // Every restart of an agent is an attempt.
  retry: { ...RETRY, maximumInterval: '30 seconds', maximumAttempts: 20 },
} as const satisfies ActivityOptions;

/** Hears that a step waits for the API server, and that it does no longer. */
export type OutageListener = (waits: boolean) => void;

/** Without an API server nothing moves: a step that needs it is tried again for as long as it does not answer. Any other error is the caller's. */
export async function throughOutages<T>(tell: OutageListener, step: () => Promise<T>): Promise<T> {
  let waits = false;
  try {
    for (;;) {
      try {
        return await step();
      } catch (error) {
        if (failureOf(error)?.reason !== 'ApiUnavailable') throw error;
        if (!waits) tell(true);
        waits = true;
      }
    }
  } finally {
    if (waits) tell(false);
  }
}

/**
 * A step on Kubernetes or on Temporal. @param tell left out where it asks Temporal alone.
 *
 * Not a local activity, which would take a sixth of the events: what is cancelled in the same task as one gets out of order when the history is
 * replayed, and then the workflow is stuck (seen with SDK 1.24: BadCancelTimerAttributes, for ever).
 */
export function onCluster<T>(
  summary: string,
  call: (activities: ClusterActivities) => Promise<T>,
  tell: OutageListener = () => undefined,
): Promise<T> {
  const activities = proxyActivities<ClusterActivities>({ ...ON_CLUSTER, summary });
  return throughOutages(tell, () => call(activities));
}

export interface NodeStep {
  readonly node: string;
  readonly summary: string;
  /** Errors that the workflow has an answer to: not tried again by the server. */
  readonly answered: readonly string[];
}

export function onControlQueue({ node, summary, answered }: NodeStep): NodeActivities {
  return proxyActivities<NodeActivities>({
    ...ON_CONTROL_QUEUE,
    taskQueue: controlTaskQueue(node),
    retry: { ...RETRY, nonRetryableErrorTypes: [...PERMANENT_ERRORS, ...answered] },
    summary,
  });
}

export function onSyncQueue({ node, summary, answered }: NodeStep): NodeActivities {
  return proxyActivities<NodeActivities>({
    ...ON_SYNC_QUEUE,
    taskQueue: syncTaskQueue(node),
    retry: { ...ON_SYNC_QUEUE.retry, nonRetryableErrorTypes: [...PERMANENT_ERRORS, ...answered] },
    summary,
  });
}

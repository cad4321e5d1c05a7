/**
 * How workflows call activities: on which queue, within which time, how often.
 *
 * No activity has a scheduleToStartTimeout: a step for a node whose agent is away stays in its queue, costs nothing there and runs within seconds of
 * the agent's return. Every activity says how it is cancelled, because by default a cancelled one is waited for, on a dead node for ever.
 */
import { type ActivityOptions, isCancellation, proxyActivities, proxyLocalActivities, type RetryPolicy } from '@temporalio/workflow';
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

const ON_CLUSTER = {
  startToCloseTimeout: '1 minute',
  // An answer that is under way must not take effect behind the back of what follows.
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: RETRY,
} as const satisfies ActivityOptions;

const ON_CONTROL_QUEUE = {
  startToCloseTimeout: '1 minute',
  // At once, for the agent may be away. An attempt that is under way there is held back by the volume's lock and its fencing token.
  cancellationType: 'TRY_CANCEL',
  retry: RETRY,
} as const satisfies ActivityOptions;

const ON_SYNC_QUEUE = {
  ...ON_CONTROL_QUEUE,
  // A volume of many terabytes over a slow link.
  startToCloseTimeout: '7 days',
  heartbeatTimeout: '10 seconds',
  // Every restart of an agent is an attempt.
  retry: { ...RETRY, maximumInterval: '30 seconds', maximumAttempts: 20 },
} as const satisfies ActivityOptions;

/** A step on Kubernetes. An API server that does not answer is waited for without end: without it nothing moves anyway. */
export async function onCluster<T>(summary: string, call: (activities: ClusterActivities) => Promise<T>): Promise<T> {
  const activities = proxyActivities<ClusterActivities>({ ...ON_CLUSTER, summary });
  for (;;) {
    try {
      return await call(activities);
    } catch (error) {
      if (failureOf(error)?.reason !== 'ApiUnavailable') throw error;
    }
  }
}

/**
 * A look at the watchers' stores, or a write of one object's status. It runs within the workflow's own task, which takes a sixth of the events of an
 * ordinary activity. Where that does not succeed at once it becomes an ordinary one, whose attempts and errors people can see.
 */
export async function onClusterQuickly<T>(summary: string, call: (activities: ClusterActivities) => Promise<T>): Promise<T> {
  const quick = { startToCloseTimeout: '5 seconds', retry: { ...RETRY, initialInterval: '200 milliseconds', maximumAttempts: 2 } } as const;
  try {
    return await call(proxyLocalActivities<ClusterActivities>({ ...quick, cancellationType: 'WAIT_CANCELLATION_COMPLETED', summary }));
  } catch (error) {
    const failure = failureOf(error);
    if (isCancellation(error) || !failure || failure.permanent) throw error;
    return onCluster(summary, call);
  }
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

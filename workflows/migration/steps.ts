/** Steps on nodes and on Kubernetes: what one waits for, a node's agent or the API server, is named where people look. */
import { condition } from '@temporalio/workflow';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { NodeActivities } from '../../core/contracts/node-activities.ts';
import type { TransientError } from '../../core/contracts/reasons.ts';
import { type OutageListener, onCluster, onControlQueue, onSyncQueue, throughOutages } from '../activities.ts';
import { type Failure, failureOf } from '../failure.ts';
import { show } from './display.ts';
import type { MigrationRun } from './run.ts';

type Call<T> = (agent: NodeActivities) => Promise<T>;

/** Before the point of no return the phases know another way; after it, and on the way back, there is only another attempt. */
const ANSWERED: readonly TransientError[] = ['VolumeInUse', 'MirrorNotReady', 'MirrorBypassed'];

/** A step on Kubernetes. */
export function inCluster<T>(run: MigrationRun, summary: string, call: (cluster: ClusterActivities) => Promise<T>): Promise<T> {
  return onCluster(summary, call, outageOf(run));
}

/** A short step on a node. @param answered errors that its caller has an answer to, beside those of the phase. */
export function control<T>(run: MigrationRun, node: string, summary: string, call: Call<T>, answered: readonly string[] = []): Promise<T> {
  const step = { node, summary, answered: [...answered, ...answeredIn(run)] };
  return atWork(run, node, () => call(onControlQueue(step)));
}

/** A wait of minutes to hours on a node. */
export function sync<T>(run: MigrationRun, node: string, summary: string, call: Call<T>): Promise<T> {
  return atWork(run, node, () => call(onSyncQueue({ node, summary, answered: answeredIn(run) })));
}

function answeredIn({ pointOfNoReturn, phase }: MigrationRun): readonly TransientError[] {
  return pointOfNoReturn || phase === 'Aborting' ? [] : ANSWERED;
}

async function atWork<T>(run: MigrationRun, node: string, work: () => Promise<T>): Promise<T> {
  run.atWork.push(node);
  try {
    // Its agent asks the API server for permission.
    return await throughOutages(outageOf(run), work);
  } finally {
    run.atWork.splice(run.atWork.indexOf(node), 1);
  }
}

function outageOf(run: MigrationRun): OutageListener {
  return (waits) => {
    run.outages += waits ? 1 : -1;
    show(run);
  };
}

/** What fails beside the migration's own work is shown, and holds nothing up. @returns what failed. */
export async function tolerate(run: MigrationRun, work: () => Promise<void>): Promise<Failure | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    run.lastFailure = failure;
    show(run);
    return failure;
  }
}

/** Until something was looked at anew, at the latest by the next regular look. @param looks what `run.looks` was when the decision to wait was made. */
export async function nextLook(run: MigrationRun, looks: number): Promise<void> {
  await condition(() => run.looks > looks);
}

/** Before something is begun again. */
export async function pauseAfterSetback(run: MigrationRun): Promise<void> {
  run.setbacks += 1;
  await pauseBefore(run, run.setbacks);
}

/** Longer each time, but not after news, and not when it is to be taken back. @param attempt counted from 1. */
export async function pauseBefore(run: MigrationRun, attempt: number): Promise<void> {
  const { looks } = run;
  const milliseconds = Math.min(1000 * 2 ** (attempt - 1), 60_000);
  await condition(() => run.looks > looks || run.inbox.abort !== undefined, milliseconds);
}

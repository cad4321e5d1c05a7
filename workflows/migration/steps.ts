/** Steps on nodes: while one waits in a node's queue or runs there, the node is named where people look. */
import { condition } from '@temporalio/workflow';
import type { NodeActivities } from '../../core/contracts/node-activities.ts';
import type { TransientError } from '../../core/contracts/reasons.ts';
import { onControlQueue, onSyncQueue } from '../activities.ts';
import type { MigrationRun } from './run.ts';

type Call<T> = (agent: NodeActivities) => Promise<T>;

/** Before the point of no return the phases know another way; after it, and on the way back, there is only another attempt. */
const ANSWERED: readonly TransientError[] = ['VolumeInUse', 'MirrorNotReady', 'MirrorBypassed'];

/** A short step. @param answered errors that its caller has an answer to, beside those of the phase. */
export function control<T>(
  run: MigrationRun,
  node: string,
  summary: string,
  call: Call<T>,
  answered: readonly TransientError[] = [],
): Promise<T> {
  const step = { node, summary, answered: [...answered, ...answeredIn(run)] };
  return atWork(run, node, () => call(onControlQueue(step)));
}

/** A wait of minutes to hours. */
export function sync<T>(run: MigrationRun, node: string, summary: string, call: Call<T>): Promise<T> {
  return atWork(run, node, () => call(onSyncQueue({ node, summary, answered: answeredIn(run) })));
}

function answeredIn({ pointOfNoReturn, phase }: MigrationRun): readonly TransientError[] {
  return pointOfNoReturn || phase === 'Aborting' ? [] : ANSWERED;
}

async function atWork<T>(run: MigrationRun, node: string, work: () => Promise<T>): Promise<T> {
  run.atWork.push(node);
  try {
    return await work();
  } finally {
    run.atWork.splice(run.atWork.indexOf(node), 1);
  }
}

/** Until something was looked at anew, at the latest by the next regular look. */
export async function nextLook(run: MigrationRun): Promise<void> {
  const { looks } = run;
  await condition(() => run.looks > looks);
}

/** Before something is begun again: longer each time, but not after news, and not when it is to be taken back. */
export async function pauseAfterSetback(run: MigrationRun): Promise<void> {
  const { looks } = run;
  const milliseconds = Math.min(1000 * 2 ** run.setbacks, 60_000);
  run.setbacks += 1;
  await condition(() => run.looks > looks || run.inbox.abort !== undefined, milliseconds);
}

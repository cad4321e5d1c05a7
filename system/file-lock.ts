/**
 * An exclusive lock on a file (flock(2)), held while a task runs and inherited by every program the task runs.
 *
 * The lock belongs to the open file, not to the process: a program that outlives a killed agent keeps it, and the next agent waits until that
 * program has ended instead of acting beside it. Node.js has no flock(2), so util-linux's (or BusyBox's) `flock` locks the descriptor it inherits.
 *
 * LVM closes at its start what it has inherited, except the descriptor that LVM_OUT_FD tells it to write its messages to (lvm(8); reports go to
 * standard output all the same). So it is told to write them into the lock's file, where nobody reads them.
 */
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError, type Run } from './command.ts';

/** Somebody else held the lock for the whole time allowed. */
export class LockTimeoutError extends Error {
  override readonly name = 'LockTimeoutError';
}

export interface LockOptions {
  readonly path: string;
  readonly timeoutSeconds: number;
  /** Called every few seconds of a wait. What it throws ends the wait. */
  readonly onWait?: () => void;
}

/** The number of the first descriptor that a program inherits from `run`: its own lock's, before those of locks around it. */
const FIRST_DESCRIPTOR = 3;
const WAITS_SECONDS = 3;

/** Runs the task under the lock, with a `run` whose programs hold it too. @throws {LockTimeoutError} */
export async function withFileLock<T>(run: Run, options: LockOptions, task: (run: Run) => Promise<T>): Promise<T> {
  await mkdir(dirname(options.path), { recursive: true });
  // Emptied each time: it would grow with what LVM says.
  const file = await open(options.path, 'w');
  try {
    const lockedRun: Run = (program, args, given) => {
      const inheritedDescriptors = [...(given?.inheritedDescriptors ?? []), file.fd];
      // Of several locks LVM can keep one: the outermost, which holds for the longest time.
      const environment = { ...given?.environment, LVM_OUT_FD: String(FIRST_DESCRIPTOR + inheritedDescriptors.length - 1) };
      return run(program, args, { ...given, inheritedDescriptors, environment });
    };
    await lock(lockedRun, options);
    return await task(lockedRun);
  } finally {
    await file.close();
  }
}

/** Waits in pieces, between which the caller is heard. @throws {LockTimeoutError} */
async function lock(lockedRun: Run, { path, timeoutSeconds, onWait }: LockOptions): Promise<void> {
  const deadline = performance.now() + timeoutSeconds * 1000;
  for (;;) {
    const leftSeconds = (deadline - performance.now()) / 1000;
    try {
      await lockedRun('flock', ['-x', String(FIRST_DESCRIPTOR)], { timeoutSeconds: Math.min(leftSeconds, WAITS_SECONDS) });
      return;
    } catch (error) {
      if (!(error instanceof CommandError && error.timedOut)) throw error;
      if (performance.now() >= deadline) {
        throw new LockTimeoutError(`${path} was locked by somebody else for ${timeoutSeconds} s`, { cause: error });
      }
      onWait?.();
    }
  }
}

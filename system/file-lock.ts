/**
 * An exclusive lock on a file (flock(2)), held while a task runs and inherited by every program the task runs.
 *
 * The lock belongs to the open file, not to the process: a program that outlives a killed agent keeps it, and the next agent waits until that
 * program has ended instead of acting beside it. Node.js has no flock(2), so util-linux's (or BusyBox's) `flock` locks the descriptor it inherits.
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
}

/** The number of the first descriptor that a program inherits from `run`: its own lock's, before those of locks around it. */
const FIRST_DESCRIPTOR = '3';

/** Runs the task under the lock, with a `run` whose programs hold it too. @throws {LockTimeoutError} */
export async function withFileLock<T>(run: Run, { path, timeoutSeconds }: LockOptions, task: (run: Run) => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'a');
  try {
    const lockedRun: Run = (program, args, options) => {
      const inheritedDescriptors = [...(options?.inheritedDescriptors ?? []), file.fd];
      return run(program, args, { ...options, inheritedDescriptors });
    };
    await lockedRun('flock', ['-x', FIRST_DESCRIPTOR], { timeoutSeconds }).catch((error: unknown) => {
      const waitedInVain = error instanceof CommandError && error.timedOut;
      throw waitedInVain ? new LockTimeoutError(`${path} was locked by somebody else for ${timeoutSeconds} s`, { cause: error }) : error;
    });
    return await task(lockedRun);
  } finally {
    await file.close();
  }
}

/**
 * One step at a time on a volume, and none of an attempt that a later one has overtaken.
 *
 * The lock keeps two steps apart, also where one is a program that a killed agent left behind. The token beside it is the newest attempt that has
 * acted: Temporal may run an attempt anew while the old one, cut off, still waits for its turn here.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withFileLock } from '../../system/file-lock.ts';
import type { Host } from '../../system/host.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';

/**
 * Longer than a step before this one may take, shorter than an activity's time limit: the attempt shall say what it waited for. It is also longer
 * than a wait on the sync queue may be silent.
 */
const LOCK_TIMEOUT_SECONDS = 30;

/**
 * Runs a step that acts on a volume. @param open prepares it, and throws where it is not permitted: such a step leaves no token, with which a forged task
 * would overtake the one that is permitted. The host it is given hands the lock to every program it runs. @throws StaleActivity, LockTimeoutError
 */
export async function actOnVolume<S, T>(
  deps: NodeDependencies,
  volume: string,
  open: (host: Host) => Promise<S>,
  task: (step: S) => Promise<T>,
): Promise<T> {
  const { scheduledAt, keepAlive } = deps.attempt();
  const act = async (host: Host): Promise<T> => {
    const step = await open(host);
    await admit(join(deps.stateDirectory, 'tokens'), volume, scheduledAt);
    return task(step);
  };
  return lockVolume(deps, volume, act, keepAlive);
}

/** The same for who is no activity, and overtakes nobody. @throws LockTimeoutError */
export function lockVolume<T>(
  { host, stateDirectory }: Pick<NodeDependencies, 'host' | 'stateDirectory'>,
  volume: string,
  task: (host: Host) => Promise<T>,
  onWait?: () => void,
): Promise<T> {
  const path = join(stateDirectory, 'locks', volume);
  const options = { path, timeoutSeconds: LOCK_TIMEOUT_SECONDS, ...(onWait && { onWait }) };
  return withFileLock(host.run, options, (run) => task({ ...host, run }));
}

/** Choosing a port and a minor is one step of the whole node. */
export async function allocateOnNode<T>(deps: NodeDependencies, host: Host, task: (host: Host) => Promise<T>): Promise<T> {
  const path = join(deps.stateDirectory, 'allocation.lock');
  return withFileLock(host.run, { path, timeoutSeconds: LOCK_TIMEOUT_SECONDS }, (run) => task({ ...host, run }));
}

async function admit(directory: string, volume: string, scheduledAt: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, volume);
  const newest = Number(await readFile(path, 'utf8').catch(ignoreMissing));
  if (scheduledAt < newest) {
    throw failure('StaleActivity', `a later attempt has acted on ${volume} (${newest}, this one was scheduled at ${scheduledAt})`);
  }
  if (scheduledAt === newest) return;
  await writeFile(`${path}.new`, String(scheduledAt));
  await rename(`${path}.new`, path);
}

function ignoreMissing(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '0';
  throw error;
}

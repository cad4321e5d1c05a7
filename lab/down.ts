/** Ends a lab, whole or half, whoever brought it up. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheDirectory } from './cache.ts';
import { namespaceStands, openMachines, removeNetworks } from './machines/index.ts';
import { BackgroundProcesses } from './processes.ts';
import { isOwn, readableState, removeState, starterLives } from './state.ts';

const MOST_MACHINES = 9;

let last: Promise<void> = Promise.resolve();

/** Leaves nothing but the caches. Does nothing where no lab is. Calls follow each other: a Ctrl-C and the failure that it causes both end here. */
export function takeDown(directory: string): Promise<void> {
  const afterLast = (): Promise<void> => takeDownOnce(directory);
  last = last.then(afterLast, afterLast);
  return last;
}

async function takeDownOnce(directory: string): Promise<void> {
  await endStarter(directory);
  // An `up` of this very process sees that its state is gone and stops; what it has started meanwhile is found by looking again.
  for (let attempt = 0; attempt < 10 && (attempt === 0 || existsSync(directory)); attempt++) {
    removeState(directory);
    await Promise.all(openMachines(MOST_MACHINES, directory).map((machine) => machine.kill()));
    const processes = new BackgroundProcesses(directory);
    await Promise.all(processes.list().map(({ name }) => processes.kill(name)));
    await removeNetworks();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    await sleep(300);
  }
}

/** Whether anything of a lab is there, whole or half. Needs none of the lab's programs. */
export function somethingIsLeft(directory: string): boolean {
  return existsSync(directory) || namespaceStands();
}

export async function removeCaches(): Promise<void> {
  await rm(cacheDirectory(), { recursive: true, force: true });
}

/** Another process that is bringing a lab up, or has it for itself, would go on working on what is being taken down, or on the next lab. */
async function endStarter(directory: string): Promise<void> {
  const state = readableState(directory);
  if (!state || isOwn(state) || !starterLives(state)) return;
  if (state.phase === 'starting' || state.owner === 'process') process.kill(state.startedBy.pid, 'SIGKILL');
}

/** Ends a lab, whole or half, whoever brought it up. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheDirectory } from './cache.ts';
import { openMachines, removeNetworks } from './machines/index.ts';
import { BackgroundProcesses } from './processes.ts';
import { readState, removeState, starterLives } from './state.ts';

const MOST_MACHINES = 9;

/** Leaves nothing but the caches. Does nothing where no lab is. */
export async function takeDown(directory: string): Promise<void> {
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

export async function removeCaches(): Promise<void> {
  await rm(cacheDirectory(), { recursive: true, force: true });
}

/** Another process that is bringing a lab up would go on building what is being taken down. */
async function endStarter(directory: string): Promise<void> {
  const state = stateOrNothing(directory);
  if (state?.phase !== 'starting' || state.startedBy.pid === process.pid || !starterLives(state)) return;
  process.kill(state.startedBy.pid, 'SIGKILL');
}

/** A state that cannot be read, of an earlier version say, must not be in the way of its removal. */
function stateOrNothing(directory: string): ReturnType<typeof readState> {
  try {
    return readState(directory);
  } catch {
    return undefined;
  }
}

/**
 * What `--chaos` does while a node is emptied: in the middle of the first sync the controller and the target's whole node are killed, and started
 * again on what they had on their disks.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, Steps } from '../index.ts';
import { waitFor } from '../wait.ts';
import { readMigrations, syncInItsMiddle } from './migrations.ts';

/** In words of tc. */
const SLOW_RATE = '40mbit';
/** For how long what was killed stays away. */
const AWAY_SECONDS = 5;

/** The demo's volumes are small: at full speed a sync is over before anybody could strike. */
export async function slowDown(lab: Lab, steps: Steps, source: string): Promise<void> {
  await lab.machine(source).rate(SLOW_RATE);
  steps.say(`chaos: the storage network of ${source} is held down to ${SLOW_RATE} until it strikes`);
}

/** Returns when what was killed runs again. @throws where there is no sync to strike. */
export async function strikeFirstSync(lab: Lab, steps: Steps, source: string): Promise<void> {
  const { volume, target, percent } = await waitFor('a sync is in its middle', async () => syncInItsMiddle(await readMigrations(lab)), {
    timeoutSeconds: 120,
    intervalMs: 300,
  });
  steps.say(`chaos: kill -9 of the controller and of ${target}'s virtual machine, while ${target} has ${percent} % of ${volume}`);
  await Promise.all([lab.kill('controller'), lab.kill(target)]);
  await lab.machine(source).rate('off');
  // The time of their absence is the fault itself, not a wait for anything.
  await sleep(AWAY_SECONDS * 1000);
  steps.say(`chaos: starts the controller and ${target} again`);
  await Promise.all([
    steps.run('chaos: the controller leads again', () => lab.start('controller')),
    steps.run(`chaos: ${target} has booted again`, () => lab.start(target)),
  ]);
}

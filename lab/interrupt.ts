/** Ctrl-C and the like: what this process has brought up, or is bringing up, is taken down before it ends. */
import { Lab } from './lab.ts';
import type { Steps } from './progress.ts';

const ORPHAN_CHECK_MS = 500;

export interface Interruption {
  /** From then on everything that fails does so because the lab goes away. */
  readonly begun: boolean;
}

/** From now until the end of this process. A second Ctrl-C while the first is cleaning up changes nothing. */
export function takeDownOnInterrupt(steps: Steps): Interruption {
  const interruption = { begun: false };
  const interrupt = (why: string): void => {
    if (interruption.begun) return;
    interruption.begun = true;
    steps.say(`${why}: taking everything down`);
    Lab.downOwn({ steps })
      .catch((error: unknown) => console.error(error))
      .finally(() => process.exit(130));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt(signal));
  if (process.env.npm_lifecycle_event) onOrphaned(() => interrupt('npm was ended'));
  return interruption;
}

/** A killed npm takes nobody along, and nobody waits for what it had started. */
function onOrphaned(act: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) act();
  }, ORPHAN_CHECK_MS);
  timer.unref();
}

import { Lab, Steps } from '../../lab/index.ts';

/** One lab for all files of the project: bringing it up takes longer than most tests. It is this process's: where that is killed, the next replaces it. */
export async function setup(): Promise<void> {
  const steps = new Steps((line) => process.stderr.write(`${line}\n`));
  await Lab.up({ steps, controllerEnvironment: { REHOME_HASH_CHECK: 'true' } });
}

/** Called also where the set-up was refused because of somebody else's lab, which stays. */
export async function teardown(): Promise<void> {
  await Lab.downOwn();
}

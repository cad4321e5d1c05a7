import { Lab, Steps } from '../../lab/index.ts';

/** One lab for all files of the project: bringing it up takes longer than most tests. */
export async function setup(): Promise<void> {
  const steps = new Steps((line) => process.stderr.write(`${line}\n`));
  await Lab.up({ steps, controllerEnvironment: { REHOME_HASH_CHECK: 'true' } });
}

export async function teardown(): Promise<void> {
  await Lab.down();
}

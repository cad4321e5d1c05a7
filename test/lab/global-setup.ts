import { drbd9Of } from '../../lab/drbd9.ts';
import { Lab, Steps } from '../../lab/index.ts';
import { NODES } from '../../lab/parts.ts';

/**
 * One lab for all files of the project: bringing it up takes longer than most tests. It is this process's: where that is killed, the next replaces it.
 * REHOME_LAB_DRBD_MODULES and REHOME_LAB_DRBD9_NODES are `lab up`'s --drbd-modules and --drbd9-nodes.
 */
export async function setup(): Promise<void> {
  const steps = new Steps((line) => process.stderr.write(`${line}\n`));
  const { REHOME_LAB_DRBD_MODULES: modules, REHOME_LAB_DRBD9_NODES: nodes } = process.env;
  const drbd9 = drbd9Of(modules || undefined, nodes || undefined, NODES);
  await Lab.up({ steps, ...(drbd9 && { drbd9 }), controllerEnvironment: { REHOME_HASH_CHECK: 'true' } });
}

/** Called also where the set-up was refused because of somebody else's lab, which stays. */
export async function teardown(): Promise<void> {
  await Lab.downOwn();
}

import { expect, test } from 'vitest';
import { limitRunningSyncs } from '../../../../activities/node/index.ts';
import type { FakeCluster } from './fake-cluster.ts';
import type { FakeNode } from './fake-node.ts';
import { copy, newCluster } from './scenario.ts';

/** What an agent does that is started anew with another limit. @returns the commands, without the node. */
async function limit(
  cluster: FakeCluster,
  node: FakeNode,
): Promise<{ readonly limited: readonly string[]; readonly commands: readonly string[] }> {
  const before = cluster.commands.length;
  const { syncSettings, ...rest } = cluster.dependencies(node);
  const limited = await limitRunningSyncs({ ...rest, syncSettings: { ...syncSettings, maxRateBytesPerSecond: 50 * 2 ** 20 } });
  return { limited, commands: cluster.commands.slice(before).map((command) => command.replace(/^n\d: /, '')) };
}

test('an agent with another limit gives it to the mirrors whose target its node is, and to no others', async () => {
  const cluster = newCluster();
  await copy(cluster);
  expect(await limit(cluster, cluster.n2)).toEqual({
    limited: ['data_rehome'],
    commands: [expect.stringMatching(/^drbdsetup disk-options \d+ --c-max-rate=51200$/)],
  });
  expect(await limit(cluster, cluster.n1)).toEqual({ limited: [], commands: [] });
});

test('an agent on a node without mirrors changes nothing', async () => {
  const cluster = newCluster();
  expect(await limit(cluster, cluster.n2)).toEqual({ limited: [], commands: [] });
});

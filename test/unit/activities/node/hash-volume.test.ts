import { expect, test } from 'vitest';
import { createNodeActivities } from '../../../../activities/node/index.ts';
import type { Host } from '../../../../system/host.ts';
import { mirror } from './fake-cluster.ts';
import { close, copy, newCluster } from './scenario.ts';

test('a hash tells now and then how far it is, not with each piece', async () => {
  const cluster = newCluster();
  await copy(cluster);
  await close(cluster);
  const { attempt, host, ...rest } = cluster.dependencies(cluster.n1);
  const hashFile: Host['hashFile'] = async (_path, onProgress) => {
    for (let pieces = 1; pieces <= 1000; pieces++) onProgress(pieces * 4096);
    return 'the hash';
  };
  const said: unknown[] = [];
  const heartbeat = (details: unknown) => void said.push(details);
  const agent = createNodeActivities({ ...rest, host: { ...host, hashFile }, attempt: () => ({ ...attempt(), heartbeat }) });
  expect(await agent.hashVolume({ mirror, role: 'source' })).toEqual({ sha256: 'the hash' });
  expect(said[0]).toEqual({ totalBytes: mirror.sizeBytes, hashedBytes: 4096 });
  expect(said.length).toBeLessThan(10);
});

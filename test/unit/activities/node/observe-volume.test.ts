import { expect, test } from 'vitest';
import { mirror } from './fake-cluster.ts';
import { newCluster } from './scenario.ts';

const { pool } = mirror;
const { volume } = mirror.migration;

test('a look at a volume says what LVM says of it, and the extents of its group', async () => {
  const cluster = newCluster();
  expect(await cluster.agent(cluster.n1).observeVolume({ volume, pool })).toMatchObject({
    volumeGroupFound: true,
    extentSizeBytes: 1,
    logicalVolume: { sizeBytes: mirror.sizeBytes, hasSnapshots: false, active: true, open: false },
  });
  expect(await cluster.agent(cluster.n2).observeVolume({ volume, pool })).toEqual({ volumeGroupFound: true, extentSizeBytes: 1 });
  expect(await cluster.agent(cluster.n2).observeVolume({ volume, pool: 'other' })).toEqual({ volumeGroupFound: false });
});

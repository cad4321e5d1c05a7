import { expect, test } from 'vitest';
import { mirror } from './fake-cluster.ts';
import { copy, newCluster } from './scenario.ts';

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

test('a look at a volume says whether all of its disks are there', async () => {
  const cluster = newCluster();
  const look = () => cluster.agent(cluster.n1).observeVolume({ volume, pool });
  expect((await look()).logicalVolume).not.toHaveProperty('partial');
  cluster.n1.volumes.get('data')!.partial = true;
  expect((await look()).logicalVolume).toMatchObject({ partial: true });
});

test('a look at a mirror tells a volume that was closed for the cut-over from one that somebody deactivated', async () => {
  const cluster = newCluster();
  await copy(cluster);
  const look = () => cluster.agent(cluster.n1).observeVolume({ volume, pool });
  cluster.n1.devices.delete(`${pool}-data`);
  expect(await look()).toMatchObject({ logicalVolume: { active: false }, mirror: { attached: true, closed: false } });
});

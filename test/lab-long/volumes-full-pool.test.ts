/** A volume group without a free extent on the source: DRBD's metadata goes into a file of the agent's, and nothing of it stays. */
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Cluster, eventually, nodeStorage, POOL } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');

beforeEach(() => cluster.reset());

/** A volume on n1, whose volume group has nothing left. @returns the sha256 of its whole device. */
async function volumeInFullGroup(size = '96Mi'): Promise<string> {
  const sha256 = await cluster.filledVolume('data', 'n1', size);
  onTestFinished(async () => {
    await n1.exec(`! lvs ${POOL}/filler > /dev/null 2>&1 || lvremove -qq --yes ${POOL}/filler`);
  });
  await n1.exec(`lvcreate -qq --yes --extents 100%FREE --name filler ${POOL}`);
  return sha256;
}

/** What the agent and the kernel have in files. */
async function files(): Promise<string> {
  const { stdout } = await n1.exec('ls /var/lib/rehome/metadata 2>/dev/null; losetup --list --noheadings --output NAME,BACK-FILE; true');
  return stdout.trim();
}

async function syncUnderWay(): Promise<void> {
  await n1.rate('40mbit');
  await cluster.cordon('n1');
  await eventually('a sync under way', 60, async () => ((await cluster.migration('data'))?.status?.progress?.syncedBytes ?? 0) > 0);
  expect(await files()).toMatch(/data_rehome_metadata\.image[\s\S]*\/dev\/loop\d+ .*data_rehome_metadata\.image/);
}

async function expectMoved(sha256: string): Promise<void> {
  await cluster.reaches('data', 'Completed', 180);
  const target = await cluster.nodeOf('data');
  expect(target).not.toBe('n1');
  expect(await cluster.sha256('data', target)).toBe(sha256);
  expect(await files()).toBe('');
}

test('the volume moves, and the file is gone', async () => {
  const sha256 = await volumeInFullGroup();
  await syncUnderWay();
  await n1.rate('off');
  await expectMoved(sha256);
});

test('an abort leaves the node exactly as it was', async () => {
  await volumeInFullGroup();
  const before = await nodeStorage(n1);
  await syncUnderWay();
  await cluster.uncordon('n1');
  await cluster.reaches('data', 'Aborted', 60);
  expect(await nodeStorage(n1)).toEqual(before);
  expect(await files()).toBe('');
});

test('an agent that is killed in the midst of the sync finds the file again', async () => {
  const sha256 = await volumeInFullGroup();
  await syncUnderWay();
  await lab.kill('agent-n1');
  await lab.start('agent-n1');
  expect(await files()).toContain('data_rehome_metadata.image');
  await n1.rate('off');
  await expectMoved(sha256);
});

test('after a power cut of the source the copy begins anew, and ends the same', async () => {
  const sha256 = await volumeInFullGroup();
  await syncUnderWay();
  await lab.kill('n1');
  await lab.start('n1');
  await n1.rate('off');
  await expectMoved(sha256);
});

/** What stays on a node that is to be emptied: volumes that a person keeps, and, for a while, all of a node that may only be restarted. */
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Cluster, eventually, everything, nodeStorage } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');

beforeEach(() => cluster.reset());

test('a kept volume stays on a node that is evacuated without it, and leaves it when the annotation goes', async () => {
  await cluster.filledVolume('leaves', 'n1');
  const sha256 = await cluster.filledVolume('stays', 'n1');
  await lab.kubectl(['annotate', 'pvc', 'stays', 'rehome.io/move=never']);
  await cluster.cordon('n1');
  await cluster.waitUntilEvacuated('n1');
  expect(await cluster.evacuated('n1')).toMatchObject({
    reason: 'KeptVolumesLeft',
    message: expect.stringContaining('stays is kept (annotation rehome.io/move=never)'),
  });
  expect(await cluster.nodeOf('leaves')).not.toBe('n1');
  expect(await cluster.nodeOf('stays')).toBe('n1');
  expect(await cluster.migration('stays')).toBeUndefined();
  expect((await nodeStorage(n1)).filter((line) => !/^stays\||-stays:/.test(line))).toEqual([]);

  await lab.kubectl(['annotate', 'pvc', 'stays', 'rehome.io/move-']);
  await cluster.reaches('stays', 'Completed');
  const target = await cluster.nodeOf('stays');
  expect(target).not.toBe('n1');
  expect(await cluster.sha256('stays', target)).toBe(sha256);
  await eventually('a node without volumes', 30, async () => (await cluster.evacuated('n1'))?.reason === 'NothingLeft');
});

test('a volume that becomes a kept one in the midst of its sync is left as it was', async () => {
  await cluster.filledVolume('stays', 'n1', '96Mi');
  const before = await everything(cluster);
  await n1.rate('24mbit');
  await cluster.cordon('n1');
  await cluster.syncUnderWay('stays');
  await lab.kubectl(['annotate', 'pvc', 'stays', 'rehome.io/move=never']);
  await cluster.reaches('stays', 'Aborted', 60);
  await n1.rate('off');
  await cluster.waitUntilEvacuated('n1', 30);
  await lab.kubectl(['annotate', 'pvc', 'stays', 'rehome.io/move-']);
  await cluster.uncordon('n1');
  await eventually('all as it was', 30, async () => {
    expect(await everything(cluster)).toEqual(before);
    return true;
  });
});

test('a node that is restarted within the delay between cordon and eviction keeps its volumes, one that stays cordoned is emptied', async () => {
  onTestFinished(() => cluster.restartController());
  await cluster.restartController({ REHOME_EVICTION_DELAY: '90s' });
  const sha256 = await cluster.filledVolume('data', 'n1');

  const cordonedAt = Date.now();
  await cluster.cordon('n1');
  await eventually('a condition that tells of the delay', 10, async () =>
    (await cluster.evacuated('n1'))?.message.includes('volumes begin to move 90 s after the cordon'),
  );
  await lab.kill('n1');
  await lab.start('n1');
  await cluster.uncordon('n1');
  expect(Date.now() - cordonedAt, 'the restart took longer than the delay').toBeLessThan(90_000);
  await eventually('an eviction that has ended', 60, async () => (await cluster.evacuated('n1'))?.reason === 'NodeNotCordoned');
  expect(await cluster.migration('data')).toBeUndefined();
  expect(await cluster.sha256('data', 'n1')).toBe(sha256);

  const again = Date.now();
  await cluster.cordon('n1');
  await eventually('a migration', 120, () => cluster.migration('data'));
  expect(Date.now() - again).toBeGreaterThan(90_000);
  await cluster.reaches('data', 'Completed');
  expect(await cluster.sha256('data', await cluster.nodeOf('data'))).toBe(sha256);
});

import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Cluster, eventually } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

/** As docs/performance.md says: other values in the DaemonSet, which replaces the agents one by one. */
async function setMaxRate(value: string): Promise<void> {
  const daemonSet = ['--namespace', 'rehome-system', 'daemonset/rehome-agent'];
  await lab.kubectl(['set', 'env', ...daemonSet, `REHOME_SYNC_MAX_RATE${value ? `=${value}` : '-'}`]);
  await lab.kubectl(['rollout', 'status', ...daemonSet, '--timeout=240s'], { timeoutSeconds: 250 });
}

test('the rate of a sync that runs follows the setting of the agents', { timeout: 900_000 }, async () => {
  const sha256 = await cluster.filledVolume('moves', 'n1', '128Mi');
  // Slow enough to last until every agent has been replaced twice.
  await lab.machine('n1').rate('2mbit');
  await cluster.cordon('n1');
  const target = await cluster.syncUnderWay('moves');
  const maxRate = async (): Promise<string | undefined> => {
    const { stdout } = await lab.machine(target).exec('drbdsetup show --show-defaults');
    return /c-max-rate\s+(\S+?);/.exec(stdout)?.[1];
  };
  const before = await maxRate();

  onTestFinished(() => setMaxRate(''));
  await setMaxRate('300Ki');
  expect(before).not.toBe('300k');
  await eventually('the new limit in the kernel', 30, async () => (await maxRate()) === '300k');
  expect((await cluster.migration('moves'))?.status?.phase).toBe('Syncing');
  await setMaxRate('');
  await eventually('the old limit in the kernel', 30, async () => (await maxRate()) === before);
  expect((await cluster.migration('moves'))?.status?.phase).toBe('Syncing');

  await lab.machine('n1').rate('off');
  await cluster.waitUntilEvacuated('n1', 180);
  expect(await cluster.sha256('moves', await cluster.nodeOf('moves'))).toBe(sha256);
});

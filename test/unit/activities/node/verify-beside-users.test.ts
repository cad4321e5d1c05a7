import { expect, test } from 'vitest';
import { createNodeActivities } from '../../../../activities/node/index.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { copy, newCluster } from './scenario.ts';

/** A copy that was made beside a pod which has the volume open. */
async function usedVolume(): Promise<FakeCluster> {
  const cluster = newCluster();
  await copy(cluster);
  cluster.n1.devices.get(DEVICE)!.open = 1;
  cluster.commands.splice(0);
  return cluster;
}

const DEVICE = `${mirror.pool}-${mirror.migration.volume}`;
const limitsAndVerifies = ({ commands }: FakeCluster) => commands.filter((command) => / (disk-options|verify) /.test(command));

test('a verify beside the users of a volume is held back, and the syncs after it are not', async () => {
  const cluster = await usedVolume();
  await cluster.agent(cluster.n1).verifyMirror({ mirror });
  expect(limitsAndVerifies(cluster)).toEqual([
    expect.stringMatching(/disk-options \d+ .*--c-max-rate=65536 /),
    expect.stringMatching(/ verify \d+ --start=0$/),
    expect.stringMatching(/disk-options \d+ .*--c-max-rate=4000000 /),
  ]);
});

test('a verify of a volume that nobody uses is not held back', async () => {
  const cluster = await usedVolume();
  cluster.n1.devices.get(DEVICE)!.open = 0;
  await cluster.agent(cluster.n1).verifyMirror({ mirror });
  expect(limitsAndVerifies(cluster)).toEqual([
    expect.stringMatching(/disk-options \d+ .*--c-max-rate=4000000 /),
    expect.stringMatching(/ verify \d+ --start=0$/),
  ]);
});

test('a verify beside users waits for that of another mirror on the node, and says so', async () => {
  const cluster = await usedVolume();
  const other = 'other_rehome';
  const metadata = { disk: 'UpToDate', outOfSyncKib: 0, clean: true } as const;
  const verifying = { role: 'Primary', paused: false, connection: 'VerifyS', readKib: 0 } as const;
  cluster.n1.resources.set(other, { name: other, minor: 1234, ...verifying, volume: mirror.migration.volume, metadata });
  const { attempt, ...rest } = cluster.dependencies(cluster.n1);
  const said: unknown[] = [];
  const heartbeat = (details: unknown) => void said.push(details);
  let waits = 0;
  const sleep = async () => {
    waits += 1;
    expect(limitsAndVerifies(cluster)).toEqual([]);
    if (waits === 3) cluster.n1.resources.delete(other);
  };
  await createNodeActivities({ ...rest, attempt: () => ({ ...attempt(), heartbeat, sleep }) }).verifyMirror({ mirror });
  expect(waits).toBe(3);
  const waiting = expect.objectContaining({ syncedBytes: 0, waitsFor: 'the verify of mirror other_rehome on the same node' });
  expect(said).toEqual([waiting, waiting, waiting]);
  expect(limitsAndVerifies(cluster)).toHaveLength(3);
});

import { beforeEach, expect, test } from 'vitest';
import * as checks from '../../lab/demo/checks.ts';
import { Cluster, eventually, nodeStorage } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;

/** TARGET_LOST_MILLISECONDS of workflows/timings.ts, and what it takes to see that the node is gone. */
const LOST_AFTER_SECONDS = 600;
const SEEN_AFTER_SECONDS = 120;

beforeEach(() => cluster.reset());

test('a target that dies during the sync and stays away is left for another node, and is clean soon after it is back', {
  timeout: 1_200_000,
}, async () => {
  const sha256 = await cluster.filledVolume('moves', 'n1');
  const before = new Map<string, readonly string[]>();
  for (const name of ['n2', 'n3']) before.set(name, await nodeStorage(lab.machine(name)));
  await lab.machine('n1').rate('8mbit');
  await cluster.cordon('n1');
  const lost = await cluster.syncUnderWay('moves');
  await lab.kill(lost);
  const lostAt = Date.now();
  await lab.machine('n1').rate('off');

  const other = await eventually('another target', LOST_AFTER_SECONDS + SEEN_AFTER_SECONDS, async () => {
    const node = (await cluster.migration('moves'))?.status?.targetNode;
    return node !== lost && node;
  });
  expect((Date.now() - lostAt) / 1000).toBeGreaterThan(LOST_AFTER_SECONDS - 1);
  await cluster.waitUntilEvacuated('n1', 180);
  expect(await cluster.sha256('moves', other)).toBe(sha256);
  expect((await cluster.migration('moves'))?.status).toMatchObject({ phase: 'Completed', sourceSha256: sha256, targetSha256: sha256 });
  const { stdout: events } = await lab.kubectl(['get', 'events', '-A', '-o', 'jsonpath={range .items[*]}{.reason} {.message}{"\\n"}{end}']);
  expect(events).toMatch(new RegExp(`^TargetGivenUp .*${lost}`, 'm'));

  await lab.start(lost);
  await eventually(`nothing of the first copy on ${lost}`, 180, async () => {
    const now = await nodeStorage(lab.machine(lost));
    return JSON.stringify(now) === JSON.stringify(before.get(lost));
  });
  expect(checks.checkNoReservations((await lab.kubectl(['get', 'localstoragenodes', '-o', 'json'])).stdout)).toMatchObject({ holds: true });
  expect(await cluster.nodeOf('moves')).toBe(other);
});

import { describe, expect, test } from 'vitest';
import { judgeVerify } from '../../../../core/domain/verify-proof.ts';
import { EVERY_CRASH, expectSameEnd } from './crash-trials.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { abort, close, copy, move, newCluster } from './scenario.ts';

type Version = 8 | 9;
const PAIRS: [Version, Version][] = [
  [9, 9],
  [9, 8],
  [8, 9],
];

function clusterOf([source, target]: readonly [Version, Version]): FakeCluster {
  const cluster = newCluster();
  cluster.n1.drbd = source;
  cluster.n2.drbd = target;
  return cluster;
}

describe.each(PAIRS)('from DRBD %d to DRBD %d', (...pair) => {
  test('a move leaves a plain volume with the same bits on the target, and nothing on the source', async () => {
    const cluster = clusterOf(pair);
    await move(cluster);
    expect(cluster.n1.snapshot()).toEqual({ volumes: [], devices: [], resources: [] });
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ name: 'data', tags: [], content: 'precious' }], resources: [] });
  });

  test('an abort restores both nodes', async () => {
    const untouched = clusterOf(pair).snapshot();
    const cluster = clusterOf(pair);
    await copy(cluster);
    await close(cluster);
    await abort(cluster);
    expect(cluster.snapshot()).toEqual(untouched);
  });

  test('a target that was restarted during the mirror comes back to it', async () => {
    const cluster = clusterOf(pair);
    await copy(cluster);
    const sourceEndpoint = await cluster.insist(cluster.n1, (agent) => agent.allocateEndpoint({ mirror, role: 'source' }));
    cluster.n2.reboot();
    await cluster.insist(cluster.n2, (agent) => agent.ensureTargetMirror({ mirror, sourceEndpoint }));
    expect(await cluster.insist(cluster.n1, (agent) => agent.awaitSync({ mirror }))).toMatchObject({ kind: 'synced' });
  });
});

test('a move whose agents die after any command to DRBD 9, and are started again, ends the same', EVERY_CRASH, () =>
  expectSameEnd(
    () => clusterOf([9, 9]),
    ({ moment }, line) => moment === 'after' && line.includes(': drbd'),
  ),
);

describe('a verify beneath a writer', () => {
  const range = { startSector: 540_136, sectors: 88 };

  async function verify(cluster: FakeCluster, ranges?: readonly (typeof range)[]) {
    const [n1, n2] = [cluster.agent(cluster.n1), cluster.agent(cluster.n2)];
    const { readKib: readKibBefore, ...position } = await n2.readTargetCounter({ mirror });
    const report = await n1.verifyMirror({ mirror, ...(ranges && { ranges }) });
    const { readKib: readKibAfter, skipped: skippedByTarget } = await n2.readTargetCounter({ mirror, ...position });
    const sizeBytes = ranges ? 88 * 512 : mirror.sizeBytes;
    return judgeVerify({ sizeBytes, readKibBefore, readKibAfter, report, skippedByTarget, closed: false });
  }

  test.each<[Version, Version, 'n1' | 'n2']>([
    [9, 9, 'n1'],
    [9, 9, 'n2'],
    [9, 8, 'n1'],
  ])('from DRBD %d to DRBD %d proves all but what %s skips, and that when it is compared alone', async (source, target, busy) => {
    const cluster = clusterOf([source, target]);
    await copy(cluster);
    cluster[busy].busy.push(range);
    expect(await verify(cluster)).toMatchObject({ kind: 'skipped', ranges: [range] });
    const { length } = cluster.commands;
    expect(await verify(cluster, [range])).toEqual({ kind: 'proven' });
    const verifies = cluster.commands.slice(length).filter((command) => command.includes(' verify '));
    expect(verifies).toEqual(['n1: drbdsetup verify data_rehome 1 0 --start=540136 --stop=540224']);
  });

  test('from DRBD 8 to DRBD 9 has to be repeated whole: the source cannot tell what the target skips', async () => {
    const cluster = clusterOf([8, 9]);
    await copy(cluster);
    cluster.n2.busy.push(range);
    expect(await verify(cluster)).toMatchObject({ kind: 'skipped', ranges: undefined });
    expect(await verify(cluster)).toEqual({ kind: 'proven' });
  });

  test('that skips some of the ranges again proves the others', async () => {
    const cluster = clusterOf([9, 9]);
    await copy(cluster);
    const others = [{ startSector: 0, sectors: 8 }, range];
    cluster.n1.busy.push(others[0]!);
    const report = await cluster.agent(cluster.n1).verifyMirror({ mirror, ranges: others });
    expect(report).toEqual({ completed: true, healthy: true, outOfSyncBytes: 0, skipped: [others[0]] });
  });

  test('from DRBD 8 to DRBD 8 asks nobody what was skipped', async () => {
    const cluster = clusterOf([8, 8]);
    await copy(cluster);
    const counter = await cluster.agent(cluster.n2).readTargetCounter({ mirror });
    expect(Object.keys(counter)).toEqual(['readKib']);
    expect(await cluster.agent(cluster.n1).verifyMirror({ mirror })).not.toHaveProperty('skipped');
  });
});

import { describe, expect, test } from 'vitest';
import { sweepAborted } from '../../../../activities/node/index.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { Crash } from './fake-node.ts';
import { abort, close, copy, crashPoints, cutOver, move, newCluster } from './scenario.ts';

const EVERY_CRASH = { timeout: 60_000 };
const DATA = mirror.migration.volume;

describe('where a volume group has no extent left for metadata', () => {
  const fullCluster = (): FakeCluster =>
    newCluster(({ n1 }) => {
      n1.freeBytes = 0;
    });

  test('a file takes its place, which is gone when the move is over', async () => {
    const cluster = fullCluster();
    await copy(cluster);
    expect(cluster.metadataFiles(cluster.n1)).toEqual(['data_rehome_metadata.tags']);
    expect(cluster.n1.snapshot()).toMatchObject({ files: [expect.stringContaining('data_rehome_metadata.image'), '/dev/loop0'] });
    await close(cluster);
    await cutOver(cluster);
    expect(cluster.metadataFiles(cluster.n1)).toEqual([]);
    expect(cluster.n1.snapshot()).toEqual({ volumes: [], devices: [], resources: [] });
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ name: DATA, tags: [], content: 'precious' }] });
  });

  test('a move whose agents die at any command ends the same', EVERY_CRASH, async () => {
    const whole = fullCluster();
    await move(whole);
    for (const crashAt of crashPoints(whole.commands)) {
      const cluster = fullCluster();
      cluster.crashAt = crashAt;
      await move(cluster);
      expect(cluster.snapshot(), `after a crash ${crashAt.moment} "${whole.commands[crashAt.command]}"`).toEqual(whole.snapshot());
    }
  });

  test('an abort after a crash at any command restores both nodes', EVERY_CRASH, async () => {
    const untouched = fullCluster().snapshot();
    const untilClosed = async (cluster: FakeCluster) => {
      await copy(cluster);
      await close(cluster);
    };
    const whole = fullCluster();
    await untilClosed(whole);
    for (const crashAt of crashPoints(whole.commands)) {
      const cluster = fullCluster();
      cluster.crashAt = crashAt;
      cluster.insist = async (node, step) => {
        cluster.scheduledAt += 1;
        return step(cluster.agent(node));
      };
      await expect(untilClosed(cluster)).rejects.toBeInstanceOf(Crash);
      await abort(cluster);
      expect(cluster.snapshot(), `after a crash ${crashAt.moment} "${whole.commands[crashAt.command]}"`).toEqual(untouched);
    }
  });

  test('a source that was restarted begins anew, with another port', async () => {
    const cluster = fullCluster();
    await copy(cluster);
    cluster.n1.reboot();
    await copy(cluster, { ...mirror, pairing: 2 });
    const ports = cluster.commands.flatMap((line) => /n1: drbdsetup connect \S+ (\S+)/.exec(line)?.[1] ?? []);
    expect(new Set(ports).size).toBe(2);
    await abort(cluster, { ...mirror, pairing: 2 });
    expect(cluster.snapshot()).toEqual(fullCluster().snapshot());
  });

  test('what an aborted migration left is swept', async () => {
    const untouched = fullCluster().snapshot();
    const cluster = fullCluster();
    await copy(cluster);
    cluster.enter('Aborting');
    await cluster.insist(cluster.n2, (agent) => agent.discardTarget({ mirror }));
    cluster.enter('Aborted');
    const { swept } = await sweepAborted(cluster.dependencies(cluster.n1), [cluster.migration]);
    expect(swept).toEqual([cluster.migration]);
    expect(cluster.snapshot()).toEqual(untouched);
  });

  test('a port and a minor that a file has are not given to another mirror', async () => {
    const cluster = fullCluster();
    await copy(cluster);
    cluster.n1.addVolume('other', mirror.sizeBytes, 'other');
    cluster.n1.reboot();
    const other = { ...mirror, migration: { name: 'evictor-other', uid: '0b9f1c52-6f2e-4f5e-8f43-2d3a8f0f4b11', volume: 'other' } };
    const { metadata, spec } = cluster.migration;
    Object.assign(metadata, { name: other.migration.name, uid: other.migration.uid });
    Object.assign(spec, { volumeName: 'other' });
    cluster.prepare(other);
    const first = /n1: drbdsetup attach (\d+)/.exec(cluster.commands.join('\n'))![1];
    const { minor } = await cluster.insist(cluster.n1, (agent) => agent.allocateEndpoint({ mirror: other, role: 'source' }));
    expect(String(minor)).not.toBe(first);
  });
});

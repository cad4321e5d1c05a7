import { describe, expect, test } from 'vitest';
import { EVERY_CRASH, expectRestored, expectSameEnd } from './crash-trials.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { Crash } from './fake-node.ts';
import { abort, close, copy, crashPoints, cutOver, move, newCluster, typeOf } from './scenario.ts';

async function commandsOf(scenario: (cluster: FakeCluster) => Promise<void>): Promise<string[]> {
  const cluster = newCluster();
  await scenario(cluster);
  return cluster.commands;
}

test('a move leaves a plain volume with the same bits on the target, and nothing on the source', async () => {
  const cluster = newCluster();
  await move(cluster);
  expect(cluster.n1.snapshot()).toEqual({ volumes: [], devices: [], resources: [] });
  expect(cluster.n2.snapshot()).toMatchObject({
    volumes: [{ name: 'data', tags: [], content: 'precious' }],
    devices: [{ open: 0 }],
    resources: [],
  });
});

test('a move whose agents die at any command, and are started again, ends the same', EVERY_CRASH, () => expectSameEnd(newCluster));

test('every step of a move may be asked for twice', async () => {
  const cluster = newCluster();
  const insist = cluster.insist.bind(cluster);
  cluster.insist = async (node, step) => {
    const first = await insist(node, step);
    const second = await insist(node, step);
    if (!JSON.stringify(first)?.includes('readKib')) expect(second).toEqual(first);
    return second;
  };
  await move(cluster);
  expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ name: 'data', tags: [], content: 'precious' }] });
});

test('an abort after a crash at any command before the point of no return restores both nodes', EVERY_CRASH, () =>
  expectRestored(newCluster),
);

test('an abort whose agents die at any command ends the same', EVERY_CRASH, async () => {
  const copyAndAbort = async (cluster: FakeCluster) => {
    await copy(cluster);
    await abort(cluster);
  };
  const [begin, commands] = [(await commandsOf(copy)).length, await commandsOf(copyAndAbort)];
  const untouched = newCluster().snapshot();
  for (const crashAt of crashPoints(commands).filter(({ command }) => command >= begin)) {
    const cluster = newCluster();
    cluster.crashAt = crashAt;
    await copyAndAbort(cluster);
    expect(cluster.snapshot(), `after a crash ${crashAt.moment} "${commands[crashAt.command]}"`).toEqual(untouched);
  }
});

test('an abort gives a closed volume back, also between two pairings, when the metadata of neither is there', EVERY_CRASH, async () => {
  const untouched = newCluster().snapshot();
  const next = { ...mirror, pairing: 2 };
  const closed = async (): Promise<FakeCluster> => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    cluster.prepare(next);
    return cluster;
  };
  const whole = await closed();
  const begin = whole.commands.length;
  await whole.agent(whole.n1).allocateEndpoint({ mirror: next, role: 'source' });
  const commands = whole.commands.slice(begin);
  expect(commands.some((line) => line.includes('lvremove')) && commands.some((line) => line.includes('lvcreate'))).toBe(true);
  for (const index of commands.keys()) {
    const cluster = await closed();
    cluster.crashAt = { command: begin + index, moment: 'after' };
    cluster.scheduledAt += 1;
    await expect(cluster.agent(cluster.n1).allocateEndpoint({ mirror: next, role: 'source' })).rejects.toBeInstanceOf(Crash);
    await abort(cluster, next);
    expect(cluster.snapshot(), `after a crash after "${commands[index]}"`).toEqual(untouched);
  }
});

test('a target that is given up while the mirror is prepared leaves both nodes as they were', async () => {
  const untouched = newCluster().snapshot();
  const cluster = newCluster();
  const { n1, n2 } = cluster;
  const sourceEndpoint = await cluster.insist(n1, (agent) => agent.allocateEndpoint({ mirror, role: 'source' }));
  await cluster.insist(n2, (agent) => agent.allocateEndpoint({ mirror, role: 'target' }));
  await cluster.insist(n2, (agent) => agent.ensureTargetMirror({ mirror, sourceEndpoint }));
  await cluster.insist(n1, (agent) => agent.restoreSource({ mirror }));
  await cluster.insist(n2, (agent) => agent.discardTarget({ mirror }));
  expect(cluster.snapshot()).toEqual(untouched);
});

test('a new pairing begins from nothing, with another port', async () => {
  const cluster = newCluster();
  await copy(cluster);
  const portsOf = () =>
    cluster.commands.filter((line) => line.includes('drbdsetup connect')).map((line) => line.split(' ').slice(4, 6).join(' '));
  const first = portsOf().at(-1);
  await copy(cluster, { ...mirror, pairing: 2 });
  expect(portsOf().at(-1)).not.toBe(first);
  expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ content: 'precious' }, {}] });
});

test('a source that is restarted once it was marked stays out of reach, and the move goes on without its mirror', async () => {
  const cluster = newCluster();
  await copy(cluster);
  await close(cluster);
  const { n1, n2 } = cluster;
  await cluster.insist(n1, (agent) => agent.markCutOver({ mirror, role: 'source' }));
  n1.reboot();
  expect(n1.devices.has('LocalStorage_PoolHDD-data')).toBe(false);
  cluster.enter('CuttingOver', true);
  await cluster.insist(n2, (agent) => agent.markCutOver({ mirror, role: 'target' }));
  await cluster.insist(n1, (agent) => agent.dissolveMirror({ mirror, role: 'source' }));
  await cluster.insist(n2, (agent) => agent.dissolveMirror({ mirror, role: 'target' }));
  cluster.enter('RemovingSource', true);
  await cluster.insist(n2, (agent) => agent.releaseTarget({ mirror }));
  await cluster.insist(n1, (agent) => agent.removeSource({ mirror }));
  expect(n1.snapshot()).toEqual({ volumes: [], devices: [], resources: [] });
  expect(n2.snapshot()).toMatchObject({ volumes: [{ name: 'data', tags: [], content: 'precious' }], resources: [] });
});

describe('writes of an application', () => {
  test('reach the target, and both counters', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.n1.write('data', 'newer');
    const facts = await close(cluster);
    const grown = (end: 'volume' | 'mirror') => facts[end].writtenSectors - facts.base[end].writtenSectors;
    expect([grown('volume'), grown('mirror')]).toEqual([8, 8]);
    expect(facts).toMatchObject({ inserted: true, open: false, connectedUpToDate: true, outOfSyncBytes: 0 });
    await cutOver(cluster);
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ content: 'newer' }] });
  });

  test('past a mirror that LVM took away are noticed by the sync, by the close and by a repeat of the set-up', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const device = cluster.n1.devices.get('LocalStorage_PoolHDD-data')!;
    device.table = '0 131072 linear 254:0 4';
    const agent = cluster.agent(cluster.n1);
    expect(await agent.awaitSync({ mirror })).toMatchObject({ kind: 'bypassed' });
    const targetEndpoint = { port: 7000, minor: 100, logicalBlockSizeBytes: 512 };
    expect(await typeOf(agent.ensureSourceMirror({ mirror, targetEndpoint }))).toBe('MirrorBypassed');
    expect(await close(cluster)).toMatchObject({ inserted: false });
    expect(cluster.n1.devices.has('LocalStorage_PoolHDD-data')).toBe(true);
  });

  test('are feared where the device is not there under its name, unless this migration has closed it', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const { devices } = cluster.n1;
    const agent = cluster.agent(cluster.n1);
    const device = devices.get('LocalStorage_PoolHDD-data')!;
    devices.delete('LocalStorage_PoolHDD-data');
    devices.set('LocalStorage_PoolHDD-renamed', device);
    expect(await agent.awaitSync({ mirror })).toMatchObject({ kind: 'bypassed', message: expect.stringContaining('renamed') });
    devices.delete('LocalStorage_PoolHDD-renamed');
    devices.set('LocalStorage_PoolHDD-data', device);
    await close(cluster);
    expect(devices.has('LocalStorage_PoolHDD-data')).toBe(false);
    expect(await agent.awaitSync({ mirror })).toMatchObject({ kind: 'synced' });
  });

  test('keep the source from being closed while somebody has the volume open', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.n1.devices.get('LocalStorage_PoolHDD-data')!.open = 1;
    expect(await close(cluster)).toMatchObject({ open: true });
    expect(cluster.n1.devices.has('LocalStorage_PoolHDD-data')).toBe(true);
  });
});

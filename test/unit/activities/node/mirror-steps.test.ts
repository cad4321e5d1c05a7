import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../../core/contracts/migration.ts';
import type { Phase } from '../../../../core/contracts/phases.ts';
import { FakeCluster, mirror } from './fake-cluster.ts';
import { Crash, type CrashPoint } from './fake-node.ts';

/** Some hundred moves, each with its own crash. */
const EVERY_CRASH = { timeout: 60_000 };

const clusters: FakeCluster[] = [];
function newCluster(): FakeCluster {
  const cluster = new FakeCluster(mirror);
  clusters.push(cluster);
  return cluster;
}
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.dispose();
});

/** From Preparing to a copy that was verified. */
async function copy(cluster: FakeCluster, wanted: Mirror = mirror): Promise<void> {
  const { n1, n2 } = cluster;
  cluster.enter('Preparing');
  const sourceEndpoint = await cluster.insist(n1, (agent) => agent.allocateEndpoint({ mirror: wanted, role: 'source' }));
  await cluster.insist(n2, (agent) => agent.allocateEndpoint({ mirror: wanted, role: 'target' }));
  const targetEndpoint = await cluster.insist(n2, (agent) => agent.ensureTargetMirror({ mirror: wanted, sourceEndpoint }));
  await cluster.insist(n1, (agent) => agent.ensureSourceMirror({ mirror: wanted, targetEndpoint }));
  expect(await cluster.insist(n1, (agent) => agent.awaitSync({ mirror: wanted }))).toMatchObject({ kind: 'synced' });
  const before = await cluster.insist(n2, (agent) => agent.readTargetCounter({ mirror: wanted }));
  const report = await cluster.insist(n1, (agent) => agent.verifyMirror({ mirror: wanted }));
  expect(report).toEqual({ completed: true, healthy: true, outOfSyncBytes: 0 });
  const after = await cluster.insist(n2, (agent) => agent.readTargetCounter({ mirror: wanted }));
  // A pass that a crash cut off is repeated, so it is whole passes that count here.
  expect((after.readKib - before.readKib) % (wanted.sizeBytes / 1024)).toBe(0);
}

async function close(cluster: FakeCluster) {
  cluster.enter('CuttingOver');
  return cluster.insist(cluster.n1, (agent) => agent.closeSource({ mirror }));
}

async function cutOver(cluster: FakeCluster): Promise<void> {
  const { n1, n2 } = cluster;
  const source = await cluster.insist(n1, (agent) => agent.hashVolume({ mirror, role: 'source' }));
  await cluster.insist(n2, (agent) => agent.markCutOver({ mirror, role: 'target' }));
  await cluster.insist(n1, (agent) => agent.markCutOver({ mirror, role: 'source' }));
  cluster.enter('CuttingOver', true);
  await cluster.insist(n1, (agent) => agent.dissolveMirror({ mirror, role: 'source' }));
  await cluster.insist(n2, (agent) => agent.dissolveMirror({ mirror, role: 'target' }));
  expect(await cluster.insist(n2, (agent) => agent.hashVolume({ mirror, role: 'target' }))).toEqual(source);
  cluster.enter('RemovingSource', true);
  await cluster.insist(n1, (agent) => agent.removeSource({ mirror }));
  await cluster.insist(n2, (agent) => agent.releaseTarget({ mirror }));
}

async function move(cluster: FakeCluster): Promise<void> {
  await copy(cluster);
  await close(cluster);
  await cutOver(cluster);
}

async function abort(cluster: FakeCluster): Promise<void> {
  cluster.enter('Aborting');
  await cluster.insist(cluster.n1, (agent) => agent.restoreSource({ mirror }));
  await cluster.insist(cluster.n2, (agent) => agent.discardTarget({ mirror }));
}

const typeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => (error instanceof ApplicationFailure ? error.type : error),
  );

async function commandsOf(scenario: (cluster: FakeCluster) => Promise<void>): Promise<string[]> {
  const cluster = newCluster();
  await scenario(cluster);
  return cluster.commands;
}

/** After each command, which is before the next; a table swap also halfway. */
function crashPoints(commands: readonly string[]): CrashPoint[] {
  return commands.flatMap((line, command) =>
    (['after', ...(line.includes(' sh -c ') ? (['amidst'] as const) : [])] as const).map((moment) => ({ command, moment })),
  );
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

test('a move whose agents die at any command, and are started again, ends the same', EVERY_CRASH, async () => {
  const whole = newCluster();
  await move(whole);
  for (const crashAt of crashPoints(whole.commands)) {
    const cluster = newCluster();
    cluster.crashAt = crashAt;
    await move(cluster);
    expect(cluster.crashAt, `the crash ${crashAt.moment} "${whole.commands[crashAt.command]}" happened`).toBeUndefined();
    expect(cluster.snapshot(), `after a crash ${crashAt.moment} "${whole.commands[crashAt.command]}"`).toEqual(whole.snapshot());
  }
});

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

test('an abort after a crash at any command before the point of no return restores both nodes', EVERY_CRASH, async () => {
  const untouched = newCluster().snapshot();
  const untilClosed = async (cluster: FakeCluster) => {
    await copy(cluster);
    await close(cluster);
  };
  const commands = await commandsOf(untilClosed);
  for (const crashAt of crashPoints(commands)) {
    const cluster = newCluster();
    cluster.crashAt = crashAt;
    cluster.insist = async (node, step) => {
      cluster.scheduledAt += 1;
      return step(cluster.agent(node));
    };
    await expect(untilClosed(cluster)).rejects.toBeInstanceOf(Crash);
    await abort(cluster);
    expect(cluster.snapshot(), `after a crash ${crashAt.moment} "${commands[crashAt.command]}"`).toEqual(untouched);
  }
});

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
    expect(await agent.observeDetach({ mirror })).toMatchObject({ inserted: false });
    const targetEndpoint = { port: 7000, minor: 100, logicalBlockSizeBytes: 512 };
    expect(await typeOf(agent.ensureSourceMirror({ mirror, targetEndpoint }))).toBe('MirrorBypassed');
    expect(await typeOf(close(cluster))).toBe('MirrorBypassed');
  });

  test('keep the source from being closed while somebody has the volume open', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.n1.devices.get('LocalStorage_PoolHDD-data')!.open = 1;
    expect(await typeOf(close(cluster))).toBe('VolumeInUse');
  });
});

describe('what Temporal asks for and Kubernetes does not permit', () => {
  test.each<[string, (cluster: FakeCluster) => void]>([
    ['in another phase', (cluster) => cluster.enter('Syncing')],
    ['with another uid', ({ migration }) => Object.assign(migration.metadata, { uid: 'another' })],
    ['of another volume', ({ migration }) => Object.assign(migration.spec, { volumeName: 'other' })],
    ['from another node', ({ migration }) => Object.assign(migration.spec, { sourceNode: 'n3' })],
    ['that does not exist', ({ migration }) => Object.assign(migration.metadata, { name: 'other' })],
  ])('is refused for a migration %s', async (_, change) => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('CuttingOver');
    change(cluster);
    const before = cluster.commands.length;
    expect(await typeOf(cluster.agent(cluster.n1).closeSource({ mirror }))).toBe('NotPermitted');
    expect(cluster.commands).toHaveLength(before);
  });

  test.each<[string, Phase, boolean]>([
    ['dissolve', 'CuttingOver', false],
    ['remove the source', 'RemovingSource', false],
  ])('%s before the point of no return', async (_, phase, passed) => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter(phase, passed);
    const agent = cluster.agent(cluster.n1);
    const step = phase === 'CuttingOver' ? agent.dissolveMirror({ mirror, role: 'source' }) : agent.removeSource({ mirror });
    expect(await typeOf(step)).toBe('NotPermitted');
  });

  test('an object that lies about the point of no return neither dissolves nor removes a source that has no mark', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('CuttingOver', true);
    expect(await typeOf(cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' }))).toBe('NotPermitted');
    cluster.enter('RemovingSource', true);
    expect(await typeOf(cluster.agent(cluster.n1).removeSource({ mirror }))).toBe('NotPermitted');
  });
});

describe('the point of no return', () => {
  test('is not marked on a source that somebody could still write to', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.enter('CuttingOver');
    expect(await typeOf(cluster.agent(cluster.n1).markCutOver({ mirror, role: 'source' }))).toBe('MirrorNotReady');
  });

  test('once marked on a node keeps it from an abort', async () => {
    const cluster = newCluster();
    await copy(cluster);
    await close(cluster);
    await cluster.agent(cluster.n2).markCutOver({ mirror, role: 'target' });
    await cluster.agent(cluster.n1).markCutOver({ mirror, role: 'source' });
    cluster.enter('Aborting');
    expect(await typeOf(cluster.agent(cluster.n1).restoreSource({ mirror }))).toBe('PointOfNoReturnPassed');
    expect(await typeOf(cluster.agent(cluster.n2).discardTarget({ mirror }))).toBe('PointOfNoReturnPassed');
  });
});

describe('refused', () => {
  test('an attempt that a later one has overtaken', async () => {
    const cluster = newCluster();
    await copy(cluster);
    cluster.scheduledAt = 1;
    expect(await typeOf(cluster.agent(cluster.n1).allocateEndpoint({ mirror, role: 'source' }))).toBe('StaleActivity');
  });

  test('a target whose name is taken by a volume that is not the migration’s', async () => {
    const cluster = newCluster();
    cluster.n2.addVolume('data', mirror.sizeBytes, 'of somebody else');
    expect(await typeOf(copy(cluster))).toBe('LogicalVolumeConflict');
    await abort(cluster);
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ name: 'data', content: 'of somebody else' }], resources: [] });
  });

  test('a target with larger logical blocks', async () => {
    const cluster = newCluster();
    cluster.n2.logicalBlockSizeBytes = 4096;
    expect(await typeOf(copy(cluster))).toBe('BlockSizeTooLarge');
  });

  test('a target without room', async () => {
    const cluster = newCluster();
    cluster.n2.freeBytes = 8 * 2 ** 20;
    expect(await typeOf(copy(cluster))).toBe('PoolFull');
  });

  test.each([
    ['a snapshot', '0 131072 snapshot-origin 253:9', 'TableNotSupported'],
    ['a thin volume', '0 131072 thin 253:3 1', 'ThinNotSupported'],
    ['encryption', '0 131072 crypt aes-xts-plain64 :64:logon:k 0 254:0 0', 'TableNotSupported'],
  ])('a source with %s', async (_, table, type) => {
    const cluster = newCluster();
    cluster.n1.devices.get('LocalStorage_PoolHDD-data')!.table = table;
    expect(await typeOf(copy(cluster))).toBe(type);
  });

  test.each([
    ['a volume named as a path', { ...mirror, migration: { ...mirror.migration, volume: '../etc' } }],
    ['a pool with a quote', { ...mirror, pool: 'a"b' }],
    ['a migration that is no uuid', { ...mirror, migration: { ...mirror.migration, uid: 'x" || lv_size>0 || lv_name="' } }],
    ['an address that is none', { ...mirror, target: { node: 'n2', storageAddress: '10.77.0.2:1' } }],
    ['a mirror of another node', { ...mirror, source: { node: 'n3', storageAddress: '10.77.0.3' } }],
  ])('a request with %s, before any command', async (_, wrong) => {
    const cluster = newCluster();
    await expect(cluster.agent(cluster.n1).allocateEndpoint({ mirror: wrong, role: 'source' })).rejects.toThrow();
    expect(cluster.commands).toEqual([]);
  });
});

test('no secret is in an argument or an answer of an activity', async () => {
  const cluster = newCluster();
  const answers: unknown[] = [];
  const insist = cluster.insist.bind(cluster);
  cluster.insist = async (node, step) => {
    const answer = await insist(node, step);
    answers.push(answer);
    return answer;
  };
  await move(cluster);
  const secrets = cluster.commands.flatMap((line) => /--shared-secret=(\S+)/.exec(line)?.[1] ?? []);
  expect(new Set(secrets).size).toBe(1);
  expect(JSON.stringify(answers)).not.toContain(secrets[0]);
});

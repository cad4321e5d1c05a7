import { describe, expect, test } from 'vitest';
import { createNodeActivities, type NodeDependencies } from '../../../../activities/node/index.ts';
import { CommandError, type Run } from '../../../../system/command.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { copy, newCluster, typeOf } from './scenario.ts';

const DEVICE = 'LocalStorage_PoolHDD-data';

/** The source's agent, whose table swap is killed at its limit; `afterwards` plays what happens at each later wait. */
function withSwapKilled(cluster: FakeCluster, afterwards: (wait: number) => void): NodeDependencies {
  const { host, attempt, ...rest } = cluster.dependencies(cluster.n1);
  const run: Run = async (program, args, options) => {
    if (program !== 'sh') return host.run(program, args, options);
    killed = true;
    throw new CommandError({ program, args, stderr: '', ending: { exitCode: null, timedOut: true, what: 'stopped after 15 s' } });
  };
  let killed = false;
  let waits = 0;
  const sleep = async (milliseconds: number) => {
    await attempt().sleep(milliseconds);
    waits += killed ? 1 : 0;
    if (killed) afterwards(waits);
  };
  return { ...rest, host: { ...host, run }, attempt: () => ({ ...attempt(), sleep }) };
}

async function allocate(cluster: FakeCluster) {
  cluster.enter('Preparing');
  return {
    sourceEndpoint: await cluster.agent(cluster.n1).allocateEndpoint({ mirror, role: 'source' }),
    targetEndpoint: await cluster.agent(cluster.n2).allocateEndpoint({ mirror, role: 'target' }),
  };
}

async function insert(cluster: FakeCluster, dependencies: NodeDependencies): Promise<void> {
  const { sourceEndpoint, targetEndpoint } = await allocate(cluster);
  await cluster.agent(cluster.n2).ensureTargetMirror({ mirror, sourceEndpoint });
  await createNodeActivities(dependencies).ensureSourceMirror({ mirror, targetEndpoint });
}

describe('a table swap that takes too long', () => {
  test.each([1, 3])('does not leave the volume suspended, also where the suspend ends when it was killed (look %i)', async (late) => {
    const cluster = newCluster();
    const device = cluster.n1.devices.get(DEVICE)!;
    const table = device.table;
    const dependencies = withSwapKilled(cluster, (wait) => {
      if (wait === late) device.suspended = true;
    });
    await expect(insert(cluster, dependencies)).rejects.toThrow('stopped after 15 s');
    expect(device).toMatchObject({ suspended: false, loaded: undefined, table });
    await copy(cluster);
  });

  test('is no wait without end where somebody suspends the volume again and again', async () => {
    const cluster = newCluster();
    const device = cluster.n1.devices.get(DEVICE)!;
    const dependencies = withSwapKilled(cluster, () => {
      Object.defineProperty(device, 'suspended', { get: () => true, set: () => undefined });
    });
    expect(await typeOf(insert(cluster, dependencies))).toBe('MirrorNotReady');
  });
});

describe('a source that calls before its target is there', () => {
  /** @param beside the target's step, made while the source waits. */
  async function insertSourceFirst(cluster: FakeCluster, beside: (step: () => Promise<unknown>) => Promise<unknown>): Promise<void> {
    const { sourceEndpoint, targetEndpoint } = await allocate(cluster);
    const { attempt, ...rest } = cluster.dependencies(cluster.n1);
    let waits = 0;
    const sleep = async (milliseconds: number) => {
      waits += 1;
      if (waits === 2) await beside(() => cluster.agent(cluster.n2).ensureTargetMirror({ mirror, sourceEndpoint }));
      await attempt().sleep(milliseconds);
    };
    const n1 = createNodeActivities({ ...rest, attempt: () => ({ ...attempt(), sleep }) });
    await n1.ensureSourceMirror({ mirror, targetEndpoint });
  }

  test('waits for it, and is what is copied', async () => {
    const cluster = newCluster();
    await insertSourceFirst(cluster, (step) => step());
    cluster.enter('Syncing');
    expect(await cluster.agent(cluster.n1).awaitSync({ mirror })).toMatchObject({ kind: 'synced' });
    expect(cluster.n1.snapshot()).toMatchObject({ volumes: [{ content: 'precious' }, {}] });
    expect(cluster.n2.snapshot()).toMatchObject({ volumes: [{ content: 'precious' }, {}] });
  });

  test('has put nothing beneath the volume where its step is given up', async () => {
    const cluster = newCluster();
    const before = { ...cluster.n1.devices.get(DEVICE) };
    const givenUp = insertSourceFirst(cluster, () => Promise.reject(new Error('given up')));
    await expect(givenUp).rejects.toThrow('given up');
    expect(cluster.n1.devices.get(DEVICE)).toEqual(before);
  });
});

test('a volume that LVM moves to another disk before the mirror is put in is not led to where it was', async () => {
  const cluster = newCluster();
  const device = cluster.n1.devices.get(DEVICE)!;
  const moved = '0 131072 linear 254:16 2048';
  const { sourceEndpoint, targetEndpoint } = await allocate(cluster);
  const { attempt, ...rest } = cluster.dependencies(cluster.n1);
  // The source waits for its target, which comes late.
  const sleep = async (milliseconds: number) => {
    await attempt().sleep(milliseconds);
    if (device.table === moved) return;
    device.table = moved;
    await cluster.agent(cluster.n2).ensureTargetMirror({ mirror, sourceEndpoint });
  };
  const n1 = createNodeActivities({ ...rest, attempt: () => ({ ...attempt(), sleep }) });
  expect(await typeOf(n1.ensureSourceMirror({ mirror, targetEndpoint }))).toBe('MirrorBypassed');
  expect(device.table).toBe(moved);
});

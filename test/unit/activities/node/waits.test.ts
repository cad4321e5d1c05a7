import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createNodeActivities, type NodeDependencies } from '../../../../activities/node/index.ts';
import type { NodeActivities } from '../../../../core/contracts/node-activities.ts';
import { CommandError, type Run } from '../../../../system/command.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { peerOf } from './fake-drbd.ts';
import { copy, newCluster } from './scenario.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** The source's agent, whose waits take no time: `onWait` plays what DRBD does in each of them. */
function patient(cluster: FakeCluster, onWait: () => void): NodeActivities {
  const { attempt, ...rest } = cluster.dependencies(cluster.n1);
  const sleep = async (milliseconds: number): Promise<void> => {
    vi.advanceTimersByTime(milliseconds);
    onWait();
  };
  return createNodeActivities({ ...rest, attempt: () => ({ ...attempt(), sleep }) });
}

/** Both ends, as soon as the sync has begun. */
async function beginSync(cluster: FakeCluster) {
  cluster.enter('Preparing');
  const [n1, n2] = [cluster.agent(cluster.n1), cluster.agent(cluster.n2)];
  const sourceEndpoint = await n1.allocateEndpoint({ mirror, role: 'source' });
  const targetEndpoint = await n2.allocateEndpoint({ mirror, role: 'target' });
  await n2.ensureTargetMirror({ mirror, sourceEndpoint });
  await n1.ensureSourceMirror({ mirror, targetEndpoint });
  cluster.enter('Syncing');
  const source = cluster.n1.resources.get('data_rehome')!;
  return { source, target: peerOf(cluster.n1, source)! };
}

describe('the wait for a sync', () => {
  test('ends after a minute where DRBD says that it copies and nothing is copied', async () => {
    const cluster = newCluster();
    await beginSync(cluster);
    const outcome = await patient(cluster, () => undefined).awaitSync({ mirror });
    expect(outcome).toMatchObject({ kind: 'peerLost', message: expect.stringContaining('no progress for 60 s: Connected SyncSource') });
    expect(performance.now()).toBeLessThan(62_000);
  });

  test('ends within seconds where the sync is paused', async () => {
    const cluster = newCluster();
    const { target } = await beginSync(cluster);
    target.paused = true;
    const outcome = await patient(cluster, () => undefined).awaitSync({ mirror });
    expect(outcome).toMatchObject({ kind: 'peerLost', message: expect.stringContaining('PausedSyncS') });
    expect(performance.now()).toBeLessThan(12_000);
  });

  test('goes on for as long as something is copied now and then', async () => {
    const cluster = newCluster();
    const { source, target } = await beginSync(cluster);
    let waits = 0;
    const outcome = await patient(cluster, () => {
      waits += 1;
      if (waits % 100 === 0) source.metadata!.outOfSyncKib = 4096 - waits;
      if (waits < 1000) return;
      for (const end of [source, target]) Object.assign(end.metadata!, { disk: 'UpToDate', outOfSyncKib: 0 });
    }).awaitSync({ mirror });
    expect(outcome).toMatchObject({ kind: 'synced' });
    expect(performance.now()).toBeGreaterThan(400_000);
  });
});

test('a verify that stands still ends after a minute, and says so', async () => {
  const cluster = newCluster();
  await copy(cluster);
  const { host, attempt, ...rest } = cluster.dependencies(cluster.n1);
  const verifying = async (path: string) => (await host.readText(path))?.replace('cs:Connected', 'cs:VerifyS');
  const sleep = async (milliseconds: number): Promise<void> => void vi.advanceTimersByTime(milliseconds);
  const agent = createNodeActivities({ ...rest, host: { ...host, readText: verifying }, attempt: () => ({ ...attempt(), sleep }) });
  await expect(agent.verifyMirror({ mirror })).rejects.toMatchObject({
    type: 'MirrorNotReady',
    message: expect.stringContaining('VerifyS'),
  });
  expect(performance.now()).toBeLessThan(62_000);
});

describe('a wait on the sync queue for a volume that somebody else works on', () => {
  /** The agent's attempts to get the lock fail `times` times. */
  function locked(cluster: FakeCluster, times: number): { readonly dependencies: NodeDependencies; readonly signsOfLife: () => number } {
    const { host, attempt, ...rest } = cluster.dependencies(cluster.n1);
    let [left, signs] = [times, 0];
    const run: Run = async (program, args, options) => {
      if (program !== 'flock' || left === 0) return host.run(program, args, options);
      left -= 1;
      vi.advanceTimersByTime((options?.timeoutSeconds ?? 0) * 1000);
      throw new CommandError({ program, args, stderr: '', ending: { exitCode: null, timedOut: true, what: 'stopped' } });
    };
    const keepAlive = (): void => {
      signs += 1;
    };
    const sleep = async (milliseconds: number): Promise<void> => {
      vi.advanceTimersByTime(milliseconds);
      await attempt().sleep(milliseconds);
    };
    const dependencies = { ...rest, host: { ...host, run }, attempt: () => ({ ...attempt(), sleep, keepAlive }) };
    return { dependencies, signsOfLife: () => signs };
  }

  test('shows a sign of life more often than the server asks for one', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const { dependencies, signsOfLife } = locked(cluster, 8);
    await createNodeActivities(dependencies).verifyMirror({ mirror });
    // In 24 s, where 10 s of silence are the limit.
    expect(performance.now()).toBeGreaterThanOrEqual(24_000);
    expect(signsOfLife()).toBe(8);
  });

  test('connects again all the same', async () => {
    const cluster = newCluster();
    const { source, target } = await beginSync(cluster);
    source.connection = 'StandAlone';
    target.connection = 'WFConnection';
    const { dependencies, signsOfLife } = locked(cluster, 3);
    expect(await createNodeActivities(dependencies).awaitSync({ mirror })).toMatchObject({ kind: 'synced' });
    expect(signsOfLife()).toBe(3);
  });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { controlTaskQueue } from '../../core/contracts/names.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas } from '../../system/kube/hwameistor-resources.ts';
import { nodes } from '../../system/kube/resources.ts';
import { FakeAgents } from './fake-agents.ts';
import { MiB, MigrationWorld } from './migration-world.ts';
import { Programs } from './programs.ts';
import { recordNode } from './recorded-node.ts';

const MIGRATIONS = 100;
const CONTROLLER_LIMIT_BYTES = 350e6;
const STEPS = 200;
const AGENT_LIMIT_BYTES = 200e6;

const inMB = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

let world: MigrationWorld;
let programs: Programs;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
});
afterAll(async () => {
  await programs?.remove();
  await world?.stop();
});

test('a controller that moves a hundred volumes at once, each to its end, stays below 350 MB', { timeout: 900_000 }, async () => {
  const source = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await world.addNode('n3', '10.77.0.3');
  const volumes = Array.from({ length: MIGRATIONS }, (_, index) => `data-${index}`);
  await world.addVolumes(volumes, source);

  const underWay = new Set<string>();
  const all = Promise.withResolvers<void>();
  const synced = (volume: string): Promise<void> => {
    underWay.add(volume);
    return all.promise;
  };
  const { temporalAddress } = world.cluster.controlPlane;
  const agents = await FakeAgents.start({ address: temporalAddress, nodes: ['n1', 'n2', 'n3'], sizeBytes: 64 * MiB, synced }, volumes);
  try {
    // All at once: with the usual limits most would wait, which costs less.
    const controller = await programs.controller({ REHOME_SYNCS_PER_NODE: `${MIGRATIONS}`, REHOME_SYNCS_PER_CLUSTER: `${MIGRATIONS}` });
    await controller.logged('triggers and reconcilers start');
    const { now: idle } = controller.residentBytes();
    const begun = performance.now();
    await world.client.mergePatch(nodes, { name: 'n1' }, { spec: { unschedulable: true } });
    await vi.waitFor(() => expect(underWay.size).toBe(MIGRATIONS), { timeout: 400_000, interval: 200 });
    const [allUnderWay, { now: inSync }] = [performance.now(), controller.residentBytes()];
    all.resolve();
    const isEvacuated = async (): Promise<void> => {
      const { status } = await world.client.get(localStorageNodes, { name: 'n1' });
      expect(status?.conditions?.find(({ type }) => type === 'Evacuated')).toMatchObject({ status: 'True' });
    };
    await vi.waitFor(isEvacuated, { timeout: 400_000, interval: 500 });
    const { now, peak } = controller.residentBytes();
    const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(1);
    console.log(
      `controller: ${inMB(idle)} at start, ${inMB(inSync)} with ${MIGRATIONS} migrations in sync, ${inMB(peak)} at its peak, ${inMB(now)} afterwards; ` +
        `all in sync after ${seconds(begun, allUnderWay)} s, evacuated ${seconds(allUnderWay, performance.now())} s later`,
    );
    const ended = await world.client.list(localVolumeMigrates);
    expect(ended.map(({ status }) => status?.phase)).toEqual(Array(MIGRATIONS).fill('Completed'));
    expect((await world.client.list(localVolumeReplicas)).filter(({ spec }) => spec.nodeName === 'n1')).toEqual([]);
    expect(peak).toBeLessThan(CONTROLLER_LIMIT_BYTES);
  } finally {
    all.resolve();
    await agents.stop();
    await programs.stopAll();
  }
});

test('an agent stays below 200 MB, also after many steps', { timeout: 600_000 }, async () => {
  await world.addNode('busy', '10.77.0.4');
  const directory = await mkdtemp(join(tmpdir(), 'rehome-node-'));
  const connection = await NativeConnection.connect({ address: world.cluster.controlPlane.temporalAddress });
  const clientConnection = await Connection.connect({ address: world.cluster.controlPlane.temporalAddress });
  try {
    const agent = await programs.agent('busy', await recordNode(directory));
    await agent.logged('agent runs');
    const { now: idle } = agent.residentBytes();
    const worker = await Worker.create({ connection, taskQueue: 'busy', workflowsPath: resolve(import.meta.dirname, 'busy-workflow.ts') });
    const args = [{ taskQueue: controlTaskQueue('busy'), times: STEPS }];
    await worker.runUntil(
      new Client({ connection: clientConnection }).workflow.execute('askOften', { taskQueue: 'busy', workflowId: 'busy', args }),
    );
    const { now, peak } = agent.residentBytes();
    console.log(`agent: ${inMB(idle)} at start, ${inMB(now)} after ${STEPS} steps, ${inMB(peak)} at its peak`);
    expect(peak).toBeLessThan(AGENT_LIMIT_BYTES);
  } finally {
    await programs.stopAll();
    await Promise.all([connection.close(), clientConnection.close()]);
    await rm(directory, { recursive: true });
  }
});

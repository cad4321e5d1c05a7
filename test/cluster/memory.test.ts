import { chmod, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
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

const MIGRATIONS = 100;
const CONTROLLER_LIMIT_MIB = 350;
const STEPS = 200;
const AGENT_LIMIT_MIB = 200;

let world: MigrationWorld;
let programs: Programs;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.build(world);
});
afterAll(async () => {
  await programs?.remove();
  await world?.stop();
});

test('a controller with a hundred migrations under way stays below 350 MB', { timeout: 900_000 }, async () => {
  // Nobody renews these nodes' own Leases: they would be found dead.
  await world.cluster.controlPlane.kill('controller-manager');
  const source = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await world.addNode('n3', '10.77.0.3');
  const volumes = Array.from({ length: MIGRATIONS }, (_, index) => `data-${index}`);
  for (const volume of volumes) await world.addVolume(volume, source, { claimed: false });

  const underWay = new Set<string>();
  const all = Promise.withResolvers<void>();
  const synced = (volume: string): Promise<void> => {
    underWay.add(volume);
    return all.promise;
  };
  const { temporalAddress } = world.cluster.controlPlane;
  const agents = await FakeAgents.start({ address: temporalAddress, nodes: ['n1', 'n2', 'n3'], sizeBytes: 64 * MiB, synced }, volumes);
  try {
    const controller = await programs.controller({ LOG_LEVEL: 'warn' });
    await vi.waitFor(() => expect(controller.residentMiB().now).toBeGreaterThan(50), 20_000);
    const begun = performance.now();
    await world.client.mergePatch(nodes, { name: 'n1' }, { spec: { unschedulable: true } });
    await vi.waitFor(() => expect(underWay.size).toBe(MIGRATIONS), { timeout: 400_000, interval: 200 });
    const [allUnderWay, { now: underWayMiB }] = [performance.now(), controller.residentMiB()];
    all.resolve();
    const isEvacuated = async (): Promise<void> => {
      const { status } = await world.client.get(localStorageNodes, { name: 'n1' });
      expect(status?.conditions?.find(({ type }) => type === 'Evacuated')).toMatchObject({ status: 'True' });
    };
    await vi.waitFor(isEvacuated, { timeout: 400_000, interval: 500 });
    const { now, peak } = controller.residentMiB();
    const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(1);
    console.log(
      `controller: ${underWayMiB.toFixed(0)} MiB with ${MIGRATIONS} migrations in sync, ${peak.toFixed(0)} at its peak, ${now.toFixed(0)} afterwards; ` +
        `all in sync after ${seconds(begun, allUnderWay)} s, evacuated ${seconds(allUnderWay, performance.now())} s later`,
    );
    const ended = await world.client.list(localVolumeMigrates);
    expect(ended.map(({ status }) => status?.phase)).toEqual(Array(MIGRATIONS).fill('Completed'));
    expect((await world.client.list(localVolumeReplicas)).filter(({ spec }) => spec.nodeName === 'n1')).toEqual([]);
    expect(peak).toBeLessThan(CONTROLLER_LIMIT_MIB);
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
    const agent = await programs.agent('busy', { PATH: `${await fakeLvm(directory)}:${process.env['PATH']}` });
    await agent.logged('agent runs');
    const idle = agent.residentMiB().now;
    const worker = await Worker.create({ connection, taskQueue: 'busy', workflowsPath: resolve(import.meta.dirname, 'busy-workflow.ts') });
    const args = [{ taskQueue: controlTaskQueue('busy'), times: STEPS }];
    await worker.runUntil(
      new Client({ connection: clientConnection }).workflow.execute('askOften', { taskQueue: 'busy', workflowId: 'busy', args }),
    );
    const { now, peak } = agent.residentMiB();
    console.log(`agent: ${idle.toFixed(0)} MiB at start, ${now.toFixed(0)} after ${STEPS} steps, ${peak.toFixed(0)} at its peak`);
    expect(peak).toBeLessThan(AGENT_LIMIT_MIB);
  } finally {
    await programs.stopAll();
    await Promise.all([connection.close(), clientConnection.close()]);
    await rm(directory, { recursive: true });
  }
});

/** LVM programs that say what LVM once said. @returns the folder they are in. */
async function fakeLvm(directory: string): Promise<string> {
  await cp(resolve(import.meta.dirname, '../unit/system/fixtures/lvm-fullreport.json'), join(directory, 'fullreport.json'));
  const programs = { lvm: `cat ${join(directory, 'fullreport.json')}`, vgs: `echo '{"report":[{"vg":[]}]}'` };
  for (const [name, command] of Object.entries(programs)) {
    await writeFile(join(directory, name), `#!/bin/sh\n${command}\n`);
    await chmod(join(directory, name), 0o755);
  }
  return directory;
}

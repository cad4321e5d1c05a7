import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { FakeAgents } from './fake-agents.ts';
import { MiB, MigrationWorld } from './migration-world.ts';
import { Programs, type RunningProgram } from './programs.ts';

let world: MigrationWorld;
let programs: Programs;
let directory: string;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
  directory = await mkdtemp(join(tmpdir(), 'rehome-requests-'));
});
afterAll(async () => {
  await programs?.remove();
  await world?.stop();
  if (directory) await rm(directory, { recursive: true });
});

const [FEW, MANY] = [5, 30];
const ROUNDS = 3;

/** The controller's requests to the API server for reading, as it sends them; watches, which stand, and its Lease, which it renews, left out. */
class ReadRequests {
  readonly #file = join(directory, 'requests');

  /** For the environment of a controller that is to be counted. */
  async record(): Promise<Readonly<Record<string, string>>> {
    const preload = join(directory, 'preload.cjs');
    const write = `require('node:fs').appendFileSync(${JSON.stringify(this.#file)}, request.method + ' ' + request.path + '\\n')`;
    await writeFile(preload, `require('node:diagnostics_channel').subscribe('undici:request:create', ({ request }) => ${write});`);
    return { NODE_OPTIONS: `--require=${preload}` };
  }

  async list(): Promise<readonly string[]> {
    const lines = (await readFile(this.#file, 'utf8')).split('\n').filter((line) => line.startsWith('GET '));
    return lines.filter((line) => !line.includes('watch=true') && !line.includes('/leases'));
  }
}

const looksOf = ({ lines }: RunningProgram): number => lines.filter(({ msg }) => msg === 'observeVolume').length;

async function addWaitingVolumes(names: readonly string[]): Promise<void> {
  // First of all: a volume that is seen free on a cordoned node moves at once.
  await Promise.all(names.map((name) => world.attach(name, 'n1')));
  await world.addVolumes(names, { node: 'n1', storageAddress: '10.77.0.1' });
}

async function allWait(count: number): Promise<void> {
  const waiting = async () => {
    const phases = (await world.client.list(localVolumeMigrates)).map(({ status }) => status?.phase);
    expect(phases).toEqual(Array(count).fill('AwaitingDetach'));
  };
  await vi.waitFor(waiting, { timeout: 120_000, interval: 200 });
}

test('volumes that wait are looked at without a request to the API server, however many they are', { timeout: 400_000 }, async () => {
  await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  const requests = new ReadRequests();
  const names = Array.from({ length: MANY }, (_, index) => `data-${index}`);
  const { temporalAddress: address } = world.cluster.controlPlane;
  const agents = await FakeAgents.start({ address, nodes: ['n1', 'n2'], sizeBytes: 64 * MiB, synced: async () => undefined }, names);
  try {
    await addWaitingVolumes(names.slice(0, FEW));
    const controller = await programs.controller(await requests.record());
    await controller.logged('triggers and reconcilers start');
    await world.cordon('n1');
    /** Something changes on the source node, and every volume is looked at. */
    const lookAtAll = async (count: number, change: string): Promise<void> => {
      const looks = looksOf(controller) + count;
      await world.setVolumesInUse('n1', [change]);
      await vi.waitFor(() => expect(looksOf(controller)).toBeGreaterThanOrEqual(looks), { timeout: 60_000, interval: 50 });
    };
    const readsWhileLooking = async (count: number): Promise<readonly string[]> => {
      await allWait(count);
      // What the last of them began on its way here ends meanwhile.
      await lookAtAll(count, `settle-${count}`);
      const before = (await requests.list()).length;
      expect(before, 'requests on the way here').toBeGreaterThan(count);
      for (let round = 1; round <= ROUNDS; round++) await lookAtAll(count, `change-${count}-${round}`);
      return (await requests.list()).slice(before);
    };
    const few = await readsWhileLooking(FEW);
    await addWaitingVolumes(names.slice(FEW));
    const many = await readsWhileLooking(MANY);
    console.log(`reads while ${FEW} volumes were looked at ${ROUNDS} times: ${few.length}, while ${MANY} were: ${many.length}`);
    expect(many.length, many.join('\n')).toBeLessThanOrEqual(few.length + ROUNDS);
  } finally {
    await agents.stop();
    await programs.stopAll();
  }
});

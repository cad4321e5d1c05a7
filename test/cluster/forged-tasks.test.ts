/** Tasks that no workflow of ours has scheduled, for an agent as it is installed: its bundle, its own rights, a real Temporal and API server. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Mirror, MirrorEnd } from '../../core/contracts/migration.ts';
import { controlTaskQueue } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { nodes } from '../../system/kube/resources.ts';
import {
  forgeriesOf,
  HOSTILE_NAMES,
  NAMED_FIELDS,
  requestOf,
  STEPS,
  type Standing,
  type Step,
  standingOf,
} from '../unit/activities/node/forgeries.ts';
import type { ForgedTask, forge as forgeWorkflow } from './forge.ts';
import { MiB, MigrationWorld, POOL } from './migration-world.ts';
import { Programs, type RunningProgram } from './programs.ts';
import { programsRun, recordNode } from './recorded-node.ts';

const HERE: MirrorEnd = { node: 'here', storageAddress: '10.77.0.1' };
const THERE: MirrorEnd = { node: 'there', storageAddress: '10.77.0.2' };
const REFUSALS = ['NotPermitted', 'InvalidArgument'];
/** What an agent may do whoever asks: look. */
const READS = /^(lvm fullreport|lvs|vgs|dmsetup info|dmsetup table|drbdsetup events2)( |$)/;

let world: MigrationWorld;
let programs: Programs;
let directory: string;
let agent: RunningProgram;
let connection: NativeConnection;
let clientConnection: Connection;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
  directory = await mkdtemp(join(tmpdir(), 'rehome-forged-'));
  const address = world.cluster.controlPlane.temporalAddress;
  connection = await NativeConnection.connect({ address });
  clientConnection = await Connection.connect({ address });
  await world.addNode(HERE.node, HERE.storageAddress);
  agent = await programs.agent(HERE.node, await recordNode(directory));
  await agent.logged('agent runs');
});
afterAll(async () => {
  await programs?.remove();
  await Promise.all([connection?.close(), clientConnection?.close()]);
  await world?.stop();
  if (directory) await rm(directory, { recursive: true });
});

const migrations = new Map<string, Promise<LocalVolumeMigrate>>();

/** The recorded mirror of a migration that stands so; its end in that role is on the agent's node. */
async function recorded({ role }: Step, standing: Standing): Promise<Mirror> {
  const [source, target] = role === 'source' ? [HERE, THERE] : [THERE, HERE];
  const shape = { pool: POOL, sizeBytes: 64 * MiB, source, target, pairing: 1 };
  const name = `${role}-${standing.phase.toLowerCase()}-${standing.pointOfNoReturn}`;
  const create = async (): Promise<LocalVolumeMigrate> => {
    const spec = { volumeName: 'data', sourceNode: source.node, targetNodesSuggested: [], migrateAllVols: false, abort: false };
    await world.client.create(localVolumeMigrates, { metadata: { name }, spec });
    const status = { ...standing, ...shape, targetNode: target.node };
    return world.client.mergePatch(localVolumeMigrates, { name }, { status }, { subresource: 'status' });
  };
  if (!migrations.has(name)) migrations.set(name, create());
  const { metadata } = await migrations.get(name)!;
  return { migration: { name, uid: metadata.uid, volume: 'data' }, ...shape };
}

let serial = 0;

/** @returns for each task why it failed. */
async function forge(tasks: readonly ForgedTask[]): Promise<readonly string[]> {
  const worker = await Worker.create({ connection, taskQueue: 'forger', workflowsPath: resolve(import.meta.dirname, 'forge.ts') });
  const input = { taskQueue: controlTaskQueue(HERE.node), tasks };
  serial += 1;
  const { workflow } = new Client({ connection: clientConnection });
  const options = { taskQueue: 'forger', workflowId: `forge-${serial}`, args: [input] as [typeof input] };
  return worker.runUntil(workflow.execute<typeof forgeWorkflow>('forge', options));
}

const changes = async (): Promise<readonly string[]> => (await programsRun(directory)).filter((line) => !READS.test(line));
const versions = async (): Promise<unknown> =>
  (await world.client.list(localVolumeMigrates)).map(({ metadata }) => [metadata.name, metadata.resourceVersion]);

describe('a forged task', () => {
  test.each(STEPS.map((step) => [`${step.activity} on the ${step.role}`, step] as const))(
    '%s runs no program that changes anything',
    async (_, step) => {
      const honest = await recorded(step, standingOf(step));
      const forgeries = forgeriesOf(step, honest, 'elsewhere');
      const tasks = await Promise.all(
        forgeries.map(async ({ mirror, standing }) => {
          // About a migration that stands so, where it stands otherwise than it should.
          const { migration } = await recorded(step, standing);
          const isHonest = mirror.migration === honest.migration;
          return { activity: step.activity, request: requestOf(step, isHonest ? { ...mirror, migration } : mirror) };
        }),
      );
      const before = await versions();
      const outcomes = await forge(tasks);
      const unrefused = forgeries.flatMap(({ what }, index) =>
        REFUSALS.includes(outcomes[index]!) ? [] : [`${what}: ${outcomes[index]}`],
      );
      expect(unrefused).toEqual([]);
      expect(await changes()).toEqual([]);
      expect(await versions()).toEqual(before);
    },
  );

  test('with a name that is none reaches no program', async () => {
    const step = STEPS.find(({ activity, role }) => activity === 'dissolveMirror' && role === 'source')!;
    const mirror = await recorded(step, standingOf(step));
    const wrong = NAMED_FIELDS.flatMap(({ allows, set }) =>
      HOSTILE_NAMES.filter((value) => !allows(value)).map((value) => set(mirror, value)),
    );
    const before = (await programsRun(directory)).length;
    const outcomes = await forge(wrong.map((request) => ({ activity: step.activity, request: requestOf(step, request as Mirror) })));
    expect(new Set(outcomes)).toEqual(new Set(['InvalidArgument']));
    // The agent reports its node all the time, with programs of its own.
    expect((await programsRun(directory)).slice(before).filter((line) => /^(lvs|dmsetup)/.test(line))).toEqual([]);
    expect(await changes()).toEqual([]);
  });

  test('that is what the record allows is done, so that the others could have been', async () => {
    const step = STEPS.find(({ activity, role }) => activity === 'allocateEndpoint' && role === 'target')!;
    await forge([{ activity: step.activity, request: requestOf(step, await recorded(step, standingOf(step))) }]);
    expect(await changes()).toEqual([expect.stringMatching(/^lvcreate .*data_rehome_metadata/)]);
  });
});

test('an agent tells on its node of what carries the tag of a migration that does not exist', async () => {
  const { metadata } = await world.client.get(nodes, { name: HERE.node });
  await vi.waitFor(
    async () => {
      const told = (await world.eventsOf(metadata.uid)).filter(({ reason }) => reason === 'LeftOver');
      expect(told.map(({ type, note }) => [type, note])).toEqual([
        ['Warning', expect.stringContaining(`${POOL}/data carries the tag of migration 5f0c, and nobody takes it away: there is no such`)],
      ]);
    },
    { timeout: 20_000, interval: 100 },
  );
  expect(agent.lines.filter(({ msg }) => msg === 'an Event could not be told')).toEqual([]);
});

/** Controller and agent are told to stop while they work: what runs ends or is handed over, and they are gone before Kubernetes would kill them. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, type TestContext, test, vi } from 'vitest';
import type { Mirror } from '../../core/contracts/migration.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { leases } from '../../system/kube/resources.ts';
import { leaseOf } from './agents.ts';
import { MigrationWorld } from './migration-world.ts';
import { Programs, type RunningProgram } from './programs.ts';
import { recordNode } from './recorded-node.ts';

const TERMINATION_GRACE_MILLISECONDS = 30_000;
const soon = { timeout: 30_000, interval: 50 };

let world: MigrationWorld;
let programs: Programs;
let temporal: Client;
let connections: (Connection | NativeConnection)[] = [];
let worker: Worker;
let workerEnded: Promise<void>;
let directory: string;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
  const { temporalAddress: address } = world.cluster.controlPlane;
  const [connection, native] = await Promise.all([Connection.connect({ address }), NativeConnection.connect({ address })]);
  connections = [connection, native];
  temporal = new Client({ connection });
  const workflowsPath = resolve(import.meta.dirname, 'stopping-workflow.ts');
  worker = await Worker.create({ connection: native, taskQueue: 'stopping', workflowsPath });
  workerEnded = worker.run();
  directory = await mkdtemp(join(tmpdir(), 'rehome-stopping-'));
});
afterAll(async () => {
  if (worker) worker.shutdown();
  await workerEnded;
  await programs?.remove();
  for (const connection of connections) await connection.close();
  await world?.stop();
  if (directory) await rm(directory, { recursive: true });
});

let serial = 0;
/** Without an agent. */
async function addNode() {
  const node = await world.addNode(`node-${++serial}`, `10.77.1.${serial}`);
  await world.silenceAgent(node.node);
  return node;
}

const ask = (type: string, argument: unknown): Promise<WorkflowHandle> =>
  temporal.workflow.start(type, { taskQueue: 'stopping', workflowId: `${type}-${++serial}`, args: [argument] });

/** PENDING_ACTIVITY_STATE_STARTED of temporal.api.enums.v1. */
const STARTED = 2;

/** The step that the workflow waits for, as Temporal's server sees it. */
async function stepOf(workflow: WorkflowHandle) {
  const { raw } = await workflow.describe();
  return raw.pendingActivities?.[0] ?? {};
}

async function attemptsOf(workflow: WorkflowHandle): Promise<readonly unknown[]> {
  const { events } = await workflow.fetchHistory();
  return (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) => (started ? [started.attempt] : []));
}

/** For an agent of its own. */
async function recordedNode(node: string) {
  const files = join(directory, node);
  await mkdir(files);
  return { files, environment: await recordNode(files) };
}

/** Tells it to stop. @returns how it ended. */
async function stop(program: RunningProgram): Promise<{ readonly exitCode: number | null; readonly milliseconds: number }> {
  const begun = performance.now();
  const exitCode = await program.stop();
  return { exitCode, milliseconds: performance.now() - begun };
}

// Agents and controllers at once: most wait until time is up.
describe.concurrent('an agent that is told to stop', () => {
  /** An agent whose `vgs` waits for as long as a file is there: it is asked for a volume that is not there. */
  async function agentWithSlowProgram() {
    const { node } = await addNode();
    const { environment, files } = await recordedNode(node);
    const held = join(files, 'held');
    const vgs = await readFile(join(files, 'vgs'), 'utf8');
    await writeFile(join(files, 'vgs'), vgs.replace('\n', `\nwhile [ -e ${held} ]; do sleep 0.1; done\n`));
    await writeFile(held, '');
    const agent = await programs.agent(node, environment);
    await agent.logged('agent runs');
    const workflow = await ask('observeVolume', node);
    await vi.waitFor(async () => expect(await stepOf(workflow)).toMatchObject({ state: STARTED }), soon);
    return { node, agent, workflow, goOn: () => rm(held, { force: true }) };
  }

  test('lets a step end, and gives its Lease up afterwards', async () => {
    const { node, agent, workflow, goOn } = await agentWithSlowProgram();
    const stopped = stop(agent);
    await vi.waitFor(() => expect(agent.lines.map(({ state }) => state)).toContain('DRAINING'), soon);
    expect((await world.client.get(leases, leaseOf(node))).spec?.holderIdentity).toBe(node);
    await goOn();
    expect(await stopped).toMatchObject({ exitCode: 0 });
    await workflow.result();
    expect(await attemptsOf(workflow)).toEqual([1]);
    expect((await world.client.get(leases, leaseOf(node))).spec?.holderIdentity).toBe('');
  });

  test('leaves a step that does not end, before it would be killed', { timeout: 90_000 }, async () => {
    const { agent, workflow, goOn } = await agentWithSlowProgram();
    const { exitCode, milliseconds } = await stop(agent);
    console.log(`agent with a step that does not end: gone after ${Math.round(milliseconds)} ms`);
    expect(exitCode).toBe(4);
    expect(milliseconds).toBeLessThan(TERMINATION_GRACE_MILLISECONDS);
    expect(agent.lines.at(-1)?.msg).toContain('did not end within 25 s');
    await goOn();
    await workflow.terminate();
  });
});

describe.concurrent('a controller that is told to stop', () => {
  // One leads at a time.
  const oneByOne = { concurrent: false };

  /** A controller that is in the midst of a step when the API server falls silent. */
  async function controllerInStep({ onTestFinished }: TestContext) {
    const proxy = await world.cluster.startProxy();
    const { KUBECONFIG = '', ...environment } = await programs.controllerEnvironment();
    const behindProxy = join(directory, 'behind-proxy.kubeconfig');
    const kubeconfig = await readFile(KUBECONFIG, 'utf8');
    await writeFile(behindProxy, kubeconfig.replace(/server: .*/, `server: https://127.0.0.1:${proxy.port}`));
    const controller = programs.run('controller', { ...environment, KUBECONFIG: behindProxy });
    onTestFinished(async () => void (await controller.stop('SIGKILL')));
    await controller.logged('triggers and reconcilers start');
    proxy.freeze();
    const workflow = await ask('findMigration', 'data');
    await vi.waitFor(async () => expect(await stepOf(workflow)).toMatchObject({ state: STARTED }), soon);
    return { proxy, controller, workflow };
  }

  test('lets a step end that waits for the API server', oneByOne, async (context) => {
    const { proxy, controller, workflow } = await controllerInStep(context);
    const stopped = stop(controller);
    await controller.logged('triggers and reconcilers stop');
    proxy.thaw();
    expect(await stopped).toMatchObject({ exitCode: 0 });
    await workflow.result();
    expect(await attemptsOf(workflow)).toEqual([1]);
  });

  test('leaves a step for which the API server has no answer, before it would be killed', {
    ...oneByOne,
    timeout: 120_000,
  }, async (context) => {
    const { controller, workflow } = await controllerInStep(context);
    const { exitCode, milliseconds } = await stop(controller);
    console.log(`controller with a step that does not end: gone after ${Math.round(milliseconds)} ms`);
    expect(exitCode).toBe(4);
    expect(milliseconds).toBeLessThan(TERMINATION_GRACE_MILLISECONDS);
    await workflow.terminate();
  });
});

// When no controller runs: one would take the migration up.
describe('an agent in a sync that is told to stop', () => {
  test('hands the wait for a sync over to the next agent within seconds', async () => {
    const [source, target] = [await addNode(), await addNode()];
    const { environment, files } = await recordedNode(source.node);
    const drbdsetup = join(files, 'drbdsetup');
    await writeFile(drbdsetup, `${(await readFile(drbdsetup, 'utf8')).trim()} | sed s/name:p/name:p_rehome/\n`);
    const mirror = await syncingMirror(source, target);
    const agent = await programs.agent(source.node, environment);
    await agent.logged('agent runs');
    const workflow = await ask('awaitSync', mirror);
    await vi.waitFor(async () => expect((await stepOf(workflow)).heartbeatDetails).toBeTruthy(), soon);

    const { exitCode, milliseconds } = await stop(agent);
    expect(exitCode).toBe(0);
    const { lastFailure } = await stepOf(workflow);
    expect(lastFailure?.applicationFailureInfo?.type ?? lastFailure?.message).toMatch(/WorkerShutdown/);
    const next = await programs.agent(source.node, environment);
    const begun = performance.now();
    await next.logged('agent runs');
    await vi.waitFor(async () => expect(await stepOf(workflow)).toMatchObject({ state: STARTED, attempt: 2 }), soon);
    console.log(
      `agent in a sync: gone after ${Math.round(milliseconds)} ms, the next one waits after ${Math.round(performance.now() - begun)} ms`,
    );
    expect(milliseconds).toBeLessThan(5000);
    await workflow.terminate();
  });

  /** As recorded for `p` of volume group `vg`. */
  async function syncingMirror(source: Mirror['source'], target: Mirror['target']): Promise<Mirror> {
    const name = 'p-000001';
    const spec = { volumeName: 'p', sourceNode: source.node, targetNodesSuggested: [], migrateAllVols: false, abort: false };
    const { metadata } = await world.client.create(localVolumeMigrates, { metadata: { name }, spec });
    const mirror = { pool: 'vg', sizeBytes: 655_360 * 512, source: endOf(source), target: endOf(target), pairing: 1 };
    const status = { phase: 'Syncing' as const, ...mirror };
    await world.client.mergePatch(localVolumeMigrates, { name }, { status }, { subresource: 'status' });
    return { migration: { name, uid: metadata.uid, volume: 'p' }, ...mirror };
  }

  const endOf = ({ node, storageAddress }: Mirror['source']) => ({ node, storageAddress });
});

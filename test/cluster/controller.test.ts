import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { CONTROLLER_LEASE, HWAMEISTOR_LEASE, SCHEDULING_GATE, SearchAttribute, workflowId } from '../../core/contracts/names.ts';
import { run } from '../../lab/command.ts';
import { microTime } from '../../system/kube/lease.ts';
import { leases, namespaces, nodes, pods } from '../../system/kube/resources.ts';
import { MigrationWorld, NAMESPACE } from './migration-world.ts';
import { Programs } from './programs.ts';

let world: MigrationWorld;
let programs: Programs;
let connection: Connection;
let temporal: Client;

beforeAll(async () => {
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
  connection = await Connection.connect({ address: world.cluster.controlPlane.temporalAddress });
  temporal = new Client({ connection });
  await world.client.create(namespaces, { metadata: { name: 'hwameistor' } });
});
afterAll(async () => {
  await connection?.close();
  await programs?.remove();
  await world?.stop();
});
afterEach(() => programs.stopAll());

const soon = { timeout: 30_000, interval: 20 };
const HOLDER = { namespace: 'hwameistor', name: HWAMEISTOR_LEASE };

/** What HwameiStor's leader writes, or that it has given its Lease up. */
async function hwameistorLives(lives: boolean): Promise<void> {
  const spec = {
    holderIdentity: lives ? 'hwameistor-0' : '',
    leaseDurationSeconds: 15,
    renewTime: microTime(new Date()),
  };
  if (await world.client.find(leases, HOLDER)) await world.client.mergePatch(leases, HOLDER, { spec });
  else await world.client.create(leases, { metadata: HOLDER, spec });
}

async function startTimeOf(node: string): Promise<number | undefined> {
  try {
    return (await temporal.workflow.getHandle(workflowId.evictNode(node)).describe()).startTime.getTime();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

const isStarted = (node: string) =>
  vi.waitFor(async () => {
    const startTime = await startTimeOf(node);
    expect(startTime).toBeDefined();
    return startTime!;
  }, soon);
const cordon = (node: string) => world.client.mergePatch(nodes, { name: node }, { spec: { unschedulable: true } });

let serial = 0;
const addNode = () => world.addNode(`node-${++serial}`, `10.77.1.${serial}`);

describe('a program with an invalid configuration ends with 2 and names the variable', () => {
  test.each([
    ['controller', {}, 'TEMPORAL_ADDRESS is not set'],
    ['controller', { TEMPORAL_ADDRESS: 'localhost:7233' }, 'KUBECONFIG is not set'],
    ['controller', { TEMPORAL_ADDRESS: 'localhost:7233', KUBECONFIG: '/nowhere' }, 'KUBECONFIG is "/nowhere"'],
    ['agent', { TEMPORAL_ADDRESS: 'localhost:7233', NODE_NAME: 'n1', STORAGE_ADDRESS: 'n1' }, 'STORAGE_ADDRESS is "n1"'],
    ['agent', { TEMPORAL_ADDRESS: 'localhost:7233', NODE_NAME: 'n1', STORAGE_ADDRESS: '10.0.0.1' }, 'CLUSTER_KEY_FILE is "/etc/rehome'],
  ] as const)('%s with %j', async (name, environment, problem) => {
    const program = programs.run(name, environment);
    expect(await program.exited()).toBe(2);
    const said = program.lines.map(({ msg }) => msg);
    expect(said[0]).toBe(`rehome-${name}: the configuration is invalid`);
    expect(said[1]).toContain(problem);
    expect(said[1]).toContain('Set it to');
    expect(said).toHaveLength(2);
  });
});

describe('a controller', () => {
  test('refuses to run beside a live HwameiStor, before it does anything', async () => {
    await hwameistorLives(true);
    const controller = await programs.controller();
    expect(await controller.exited()).toBe(3);
    expect(controller.lines.at(-1)?.msg).toMatch(
      /HwameiStor is running: hwameistor-0 holds Lease hwameistor\/hwameistor-local-storage-master/,
    );
    expect(await world.client.find(leases, { namespace: NAMESPACE, name: CONTROLLER_LEASE })).toBeUndefined();
    await hwameistorLives(false);
  });

  test('waits for Temporal, makes its search attributes, and gives its Lease back when it is told to stop', async () => {
    const { controlPlane } = world.cluster;
    const address = ['--address', controlPlane.temporalAddress];
    await run(controlPlane.temporal, ['operator', 'namespace', 'create', 'bare', ...address]);
    await controlPlane.kill('temporal');
    const controller = await programs.controller({ TEMPORAL_NAMESPACE: 'bare' });
    await controller.logged('waits for Temporal at');
    await controlPlane.start('temporal');
    await controller.logged('controller runs');
    await controller.logged('triggers and reconcilers start');

    const { stdout } = await run(controlPlane.temporal, ['operator', 'search-attribute', 'list', '--namespace', 'bare', ...address]);
    for (const name of Object.values(SearchAttribute)) expect(stdout).toContain(name);

    const begun = performance.now();
    expect(await controller.stop()).toBe(0);
    console.log(`controller stopped in ${Math.round(performance.now() - begun)} ms`);
    const lease = await world.client.get(leases, { namespace: NAMESPACE, name: CONTROLLER_LEASE });
    expect(lease.spec?.holderIdentity).toBe('');
  });

  test('waits for the API server', async () => {
    const environment = await programs.controllerEnvironment();
    await world.cluster.controlPlane.kill('apiserver');
    const controller = programs.run('controller', environment);
    const line = await controller.logged('waits for the API server');
    expect(line.reason).toContain('ECONNREFUSED');
    await world.cluster.controlPlane.start('apiserver');
    await controller.logged('triggers and reconcilers start');
  });

  test('starts an eviction within a second of the cordon, and one that it missed as soon as it leads', async () => {
    const controller = await programs.controller();
    await controller.logged('triggers and reconcilers start');
    const milliseconds: number[] = [];
    for (let round = 0; round < 10; round++) {
      const { node } = await addNode();
      const cordoned = Date.now();
      await cordon(node);
      milliseconds.push((await isStarted(node)) - cordoned);
    }
    milliseconds.sort((a, b) => a - b);
    console.log(`cordon to started eviction: median ${milliseconds[5]} ms, longest ${milliseconds[9]} ms`);
    expect(milliseconds[9]).toBeLessThan(1000);

    expect(await controller.stop()).toBe(0);
    const missed = await addNode();
    await world.addVolume('missed', missed, { claimed: false });
    await cordon(missed.node);
    expect(await startTimeOf(missed.node)).toBeUndefined();
    await programs.controller();
    await isStarted(missed.node);
  });

  test('starts nothing while a HwameiStor that came up later lives, but lets gated pods go, and goes on when that is gone', async () => {
    const controller = await programs.controller();
    await controller.logged('triggers and reconcilers start');
    await hwameistorLives(true);
    await controller.logged('HwameiStor has come up beside Rehome');
    await controller.logged('triggers and reconcilers stop');
    const node = await addNode();
    await world.addVolume('frozen', node, { claimed: false });
    await cordon(node.node);
    const gated = await world.addPod('gated', 'none', undefined, { schedulingGates: [{ name: SCHEDULING_GATE }] });
    await vi.waitFor(async () => expect((await world.client.get(pods, gated.metadata)).spec?.schedulingGates).toBeUndefined(), soon);
    await hwameistorLives(false);
    await controller.logged('HwameiStor is gone');
    const startTime = await isStarted(node.node);
    expect(startTime).toBeGreaterThanOrEqual(Date.parse(String((await controller.logged('HwameiStor is gone')).time)));
  });
});

describe('an agent', () => {
  test('runs within seconds, says that it is there, and takes that back when it is told to stop', async () => {
    const { node } = await addNode();
    const lease = { namespace: NAMESPACE, name: `rehome-agent-${node}` };
    await world.client.delete(leases, lease);
    const begun = performance.now();
    const agent = await programs.agent(node);
    const spawned = performance.now();
    await agent.logged('agent runs');
    console.log(
      `agent runs ${Math.round(performance.now() - spawned)} ms after its start (${Math.round(spawned - begun)} ms for its token)`,
    );
    await vi.waitFor(async () => expect((await world.client.find(leases, lease))?.spec?.holderIdentity).toBe(node), soon);
    expect(await agent.stop()).toBe(0);
    expect((await world.client.get(leases, lease)).spec?.holderIdentity).toBe('');
  });
});

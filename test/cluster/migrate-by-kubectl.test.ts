/** From `kubectl create` to the end: the controller as it is deployed, over agents whose nodes are in memory. */
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { localStorageNodes, localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { reservationsOf } from '../../system/kube/reservations.ts';
import { pods } from '../../system/kube/resources.ts';
import { FakeAgents } from './fake-agents.ts';
import { HeldSyncs } from './held-syncs.ts';
import { MiB, MigrationWorld } from './migration-world.ts';
import { Programs } from './programs.ts';

const VOLUMES = ['plain', 'aborted', 'deleted', 'waiting', 'data', 'log', 'left', 'right', 'near', 'far'];

let world: MigrationWorld;
let programs: Programs;
let agents: FakeAgents;
const syncs = new HeldSyncs();

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  world = await MigrationWorld.start();
  programs = await Programs.open(world);
  const source = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await world.addNode('n3', '10.77.0.3');
  for (const volume of VOLUMES) await world.addVolume(volume, source);
  const { temporalAddress: address } = world.cluster.controlPlane;
  agents = await FakeAgents.start({ address, nodes: ['n1', 'n2', 'n3'], sizeBytes: 64 * MiB, synced: syncs.synced }, VOLUMES);
  const controller = await programs.controller({ REHOME_SYNCS_PER_NODE: '9' });
  await controller.logged('triggers and reconcilers start');
}, 180_000);
afterAll(async () => {
  syncs.letAllEnd();
  await programs?.stopAll();
  await agents?.stop();
  await programs?.remove();
  await world?.stop();
});

async function create(name: string, spec: object): Promise<void> {
  const object = { apiVersion: 'hwameistor.io/v1alpha1', kind: 'LocalVolumeMigrate', metadata: { name }, spec };
  await programs.kubectlManifest('create', object);
}

const soon = { timeout: 60_000, interval: 100 };
const find = (name: string): Promise<LocalVolumeMigrate | undefined> => world.client.find(localVolumeMigrates, { name });
const isInState = (name: string, status: object) => vi.waitFor(async () => expect((await find(name))?.status).toMatchObject(status), soon);
async function nodesOf(volume: string): Promise<readonly string[]> {
  const replicas = (await world.client.list(localVolumeReplicas)).filter(({ spec }) => spec.volumeName === volume);
  return replicas.map(({ spec }) => spec.nodeName);
}
/** Nothing of it is left but the object. */
async function expectUntouched(volume: string): Promise<void> {
  expect(await nodesOf(volume)).toEqual(['n1']);
  const { spec } = await world.client.get(localVolumes, { name: volume });
  expect(spec.config?.replicas.map(({ hostname }) => hostname) ?? ['n1']).toEqual(['n1']);
  for (const node of await world.client.list(localStorageNodes)) expect([...reservationsOf(node).keys()]).not.toContain(volume);
}

describe('kubectl', { timeout: 180_000 }, () => {
  test('create moves a volume of no LocalVolumeGroup to the suggested node, from a node that nobody drains; the object stays', async () => {
    syncs.letEnd('plain');
    await create('move-plain', { volumeName: 'plain', sourceNode: 'n1', targetNodesSuggested: ['nowhere', 'n3'] });
    await isInState('move-plain', { state: 'Completed', targetNode: 'n3', message: 'moved from n1 to n3 (unfit: nowhere NoSuchNode)' });
    expect(await nodesOf('plain')).toEqual(['n3']);
    await vi.waitFor(async () => expect((await find('move-plain'))?.metadata.finalizers).toBeUndefined(), soon);
    expect(await programs.kubectl('get', 'lvmigrate', 'move-plain', '--no-headers')).toMatch(/^move-plain +plain +n1 +n3 +Completed /);
  });

  test('patch with spec.abort takes a move back, and the object stays', async () => {
    await create('move-aborted', { volumeName: 'aborted', sourceNode: 'n1' });
    await syncs.begun('aborted');
    await programs.kubectl('patch', 'lvmigrate', 'move-aborted', '--type=merge', '-p', '{"spec":{"abort":true}}');
    await isInState('move-aborted', { state: 'Aborted', message: 'a person aborted it' });
    await expectUntouched('aborted');
  });

  test('delete takes a move back first, and returns when the object is gone', async () => {
    await create('move-deleted', { volumeName: 'deleted', sourceNode: 'n1' });
    await syncs.begun('deleted');
    await programs.kubectl('delete', 'lvmigrate', 'move-deleted', '--timeout=60s');
    expect(await find('move-deleted')).toBeUndefined();
    await expectUntouched('deleted');
    expect((await world.client.list(localVolumeMigrates)).filter(({ spec }) => spec.volumeName === 'deleted')).toEqual([]);
  });

  test('create waits for nodes that cannot take the volume, and says why; others may be suggested then', async () => {
    syncs.letEnd('waiting');
    await world.cordon('n2');
    await create('move-waiting', { volumeName: 'waiting', sourceNode: 'n1', targetNodesSuggested: ['n2'] });
    await isInState('move-waiting', {
      state: 'Submitted',
      phase: 'Reserving',
      message: 'no node can take the volume: n2 NodeUnschedulable',
    });
    await programs.kubectl('patch', 'lvmigrate', 'move-waiting', '--type=merge', '-p', '{"spec":{"targetNodesSuggested":["n3"]}}');
    await isInState('move-waiting', { state: 'Completed', targetNode: 'n3' });
    await world.cordon('n2', false);
  });
});

/** A pod uses both. @returns the name of the LocalVolumeMigrate of the second, which moves with the first. */
async function createForPod(name: string, first: string, second: string): Promise<string> {
  const volumes = [first, second].map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
  await world.addPod(`${name}-0`, first, undefined, { volumes });
  await create(name, { volumeName: first, sourceNode: 'n1' });
  const other = await vi.waitFor(async () => {
    const found = (await world.client.list(localVolumeMigrates)).find(({ spec }) => spec.volumeName === second);
    return found ?? expect.fail(`no LocalVolumeMigrate of ${second}`);
  }, soon);
  return other.metadata.name;
}

/** The first is ready to leave, and the second is being copied. */
async function waitForTheOther(name: string, second: string): Promise<void> {
  await syncs.begun(second);
  const message = expect.stringMatching(
    new RegExp(`^has a proven copy on n\\d that is kept alike, and waits for volume ${second} \\(Syncing\\)$`),
  );
  await isInState(name, { phase: 'AwaitingDetach', reason: 'WaitingForOtherVolumes', message });
}

describe('the volumes of a pod', { timeout: 180_000 }, () => {
  test('leave for one node together, as soon as the last of them is copied', async () => {
    syncs.letEnd('data');
    const log = await createForPod('move-pod', 'data', 'log');
    await waitForTheOther('move-pod', 'log');
    syncs.letEnd('log');
    for (const name of ['move-pod', log]) await isInState(name, { state: 'Completed' });
    expect(await nodesOf('data')).toEqual(await nodesOf('log'));
    expect(await nodesOf('data')).not.toContain('n1');
    const times = await Promise.all(['move-pod', log].map(async (name) => (await find(name))?.status?.phaseTimes));
    const wait = Date.parse(times[0]!.CuttingOver!) - Date.parse(times[1]!.Verifying!);
    expect(wait, 'ms from the last verify to the cut-over of the first').toBeLessThan(20_000);
  });

  test('stay together where somebody aborts the move of one of them', async () => {
    syncs.letEnd('left');
    const right = await createForPod('move-both', 'left', 'right');
    await waitForTheOther('move-both', 'right');
    await programs.kubectl('patch', 'lvmigrate', right, '--type=merge', '-p', '{"spec":{"abort":true}}');
    await isInState(right, { state: 'Aborted', message: 'a person aborted it' });
    await isInState('move-both', { state: 'Aborted', message: 'a person aborted the move of volume right, which moves with it' });
    for (const volume of ['left', 'right']) await expectUntouched(volume);
  });

  test('stay together where somebody deletes the LocalVolumeMigrate of one of them, though no pod uses them any more', async () => {
    syncs.letEnd('near');
    const far = await createForPod('move-scaled', 'near', 'far');
    await waitForTheOther('move-scaled', 'far');
    await world.removePod(await world.client.get(pods, { namespace: 'default', name: 'move-scaled-0' }));
    await programs.kubectl('delete', 'lvmigrate', far, '--timeout=60s');
    const message = `the move of volume far, which moves with it, is taken back: no longer wanted: LocalVolumeMigrate ${far} is deleted`;
    await isInState('move-scaled', { state: 'Aborted', message });
    expect(await find(far)).toBeUndefined();
    for (const volume of ['near', 'far']) await expectUntouched(volume);
  });
});

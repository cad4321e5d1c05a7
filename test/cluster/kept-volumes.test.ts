import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Annotation, CONTROLLER_TASK_QUEUE, workflowId } from '../../core/contracts/names.ts';
import type { Condition } from '../../core/contracts/objects/index.ts';
import { EvacuatedReconciler } from '../../reconcilers/evacuated.ts';
import { localStorageNodes, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { NodeDrainTrigger } from '../../triggers/node-drain.ts';
import { createWorkflowSignals } from '../../triggers/workflow-signals.ts';
import { MigrateRequests, soon } from './migrate-requests.ts';

/** No worker runs: what triggers have said stands in the workflows' histories. */
let asking: MigrateRequests;
let parts: readonly { start(): void; stop(): Promise<void> }[] = [];

beforeAll(async () => {
  asking = await MigrateRequests.start();
});
afterAll(() => asking?.stop());
beforeEach(async () => {
  const { client: kube, watchers: changes, dependencies, activities } = asking.world;
  const { stores, namespace, now, whyStays } = dependencies;
  const logger = { info: () => undefined, warn: () => undefined };
  const signals = createWorkflowSignals(asking.temporal, CONTROLLER_TASK_QUEUE);
  const releaseHolds = (node: string) => activities.releaseHolds({ node });
  const prepareTemporal = async () => undefined;
  asking.startTriggers();
  parts = [
    new NodeDrainTrigger({ stores, changes, whyStays, signals, prepareTemporal, releaseHolds, logger }),
    new EvacuatedReconciler({ kube, stores, changes, namespace, whyStays, evictionDelaySeconds: 0, now, logger }),
  ];
  for (const part of parts) part.start();
});
afterEach(async () => {
  await Promise.all(parts.map((part) => part.stop()));
  await asking.clear();
  await asking.world.clear('localVolumeReplicas', localVolumeReplicas);
  await asking.world.clear('localVolumes', localVolumes);
  await asking.world.cordon('n1', false);
  await asking.temporal.workflow
    .getHandle(workflowId.evictNode('n1'))
    .terminate()
    .catch(() => undefined);
});

const claimSays = (name: string, move: string | null) =>
  asking.world.client.mergePatch(
    persistentVolumeClaims,
    { namespace: 'default', name },
    { metadata: { annotations: { [Annotation.move]: move } } },
  );

async function isKept(volume: string): Promise<void> {
  await asking.world.seen('persistentVolumeClaims', await claimSays(volume, 'never'));
}

function becomes(status: 'True' | 'False', reason: string, message: RegExp): Promise<void> {
  return vi.waitFor(
    async () => {
      const { status: found } = await asking.world.client.get(localStorageNodes, { name: 'n1' });
      const evacuated: Condition | undefined = found?.conditions?.find(({ type }) => type === 'Evacuated');
      expect(evacuated).toMatchObject({ status, reason, message: expect.stringMatching(message) });
    },
    { timeout: 15_000, interval: 50 },
  );
}

const volumesOfEviction = async () => (await asking.world.activities.observeNodeEviction({ node: 'n1' })).volumes;

describe('a volume whose claim says never', () => {
  test('is left on its node, which is then evacuated, and moves once the claim says it no longer', async () => {
    const volume = await asking.addVolume();
    await isKept(volume);
    await asking.world.cordon('n1');
    expect(await volumesOfEviction()).toEqual([{ volume, held: false, stays: { kind: 'kept', why: 'annotation rehome.io/move=never' } }]);
    await becomes('True', 'KeptVolumesLeft', new RegExp(`^nothing is under way, and no volume is to go: ${volume} is kept \\(annotation`));

    const before = (await signalsOfEviction()).length;
    await claimSays(volume, null);
    await becomes('False', 'VolumesRemain', new RegExp(`for ${volume}$`));
    await vi.waitFor(async () => expect((await signalsOfEviction()).length).toBe(before + 1), soon);
    expect(await volumesOfEviction()).toEqual([{ volume, held: false }]);
  });

  test('has its move taken back, at once, if that has begun', async () => {
    const volume = await asking.addVolume();
    await asking.ask('begun', { volumeName: volume });
    await asking.isStarted(volume);
    await asking.begin(volume);
    const { activities } = asking.world;
    const { ref } = (await activities.findMigration({ volume }))!;
    await activities.reportPhase({ ref, phase: 'Syncing', message: 'test' });
    await asking.world.seen('localVolumeMigrates', await asking.read('begun'));
    const signals = await asking.settle(volume);

    await claimSays(volume, 'never');
    await vi.waitFor(async () => expect(await asking.signalsOf(volume)).toEqual([...signals, 'lookAgain']), soon);
    const facts = await activities.observeVolume({ volume, sourceNode: 'n1', trigger: 'migrate-request', ref });
    expect(facts.unwanted).toBe(`${volume} is kept (annotation rehome.io/move=never)`);
  });

  test('is refused to who asks for its move, and the others of its pod stay with it', async () => {
    const [kept, other] = [await asking.addVolume(), await asking.addVolume()];
    const volumes = [kept, other].map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
    await asking.world.addPod('db-0', kept, 'n1', { volumes });
    await isKept(kept);
    await asking.ask('asked', { volumeName: kept });
    await asking.ask('asked-too', { volumeName: other });
    await asking.isInState('asked', {
      phase: 'Aborted',
      reason: 'VolumeStays',
      message: `refused: ${kept} is kept (annotation rehome.io/move=never)`,
    });
    await asking.isInState('asked-too', {
      phase: 'Aborted',
      message: `refused: ${other} is kept (it moves only together with ${kept}: annotation rehome.io/move=never)`,
    });
    expect(await asking.startedWith(kept)).toBeUndefined();
  });

  test('is not refused to who has just taken the word back, before a store has heard of that', async () => {
    await asking.stopTriggers();
    const volume = await asking.addVolume();
    await isKept(volume);
    const { stores } = asking.world.watchers;
    const frozen = structuredClone(stores.persistentVolumeClaims.list());
    const get = (key: string) => frozen.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key);
    asking.startTriggers({ ...stores, persistentVolumeClaims: { list: () => frozen, get } });
    await claimSays(volume, null);
    await asking.ask('right-after', { volumeName: volume });
    await asking.isStarted(volume);
  });
});

test('the LocalVolume may say it as well, also of a volume that nobody claims', async () => {
  await asking.world.addVolume('unclaimed', asking.n1, { claimed: false });
  const written = await asking.world.client.mergePatch(
    localVolumes,
    { name: 'unclaimed' },
    { metadata: { annotations: { [Annotation.move]: 'never' } } },
  );
  await asking.world.seen('localVolumes', written);
  await asking.world.cordon('n1');
  await becomes('True', 'KeptVolumesLeft', /unclaimed is kept/);
});

test('what an etcd runs on is refused, and nobody says that its node may go, until a person decides', async () => {
  const volume = await asking.addVolume();
  const pod = await asking.world.addPod('etcd-0', volume, 'n1');
  const labelled = await asking.world.client.mergePatch(pods, pod.metadata, { metadata: { labels: { 'app.kubernetes.io/name': 'etcd' } } });
  await asking.world.seen('pods', labelled);
  await asking.world.cordon('n1');
  await becomes('False', 'VolumesRemain', new RegExp(`^${volume} must not move \\(etcd runs on it .*move=never or always decides\\)$`));
  await claimSays(volume, 'always');
  await becomes('False', 'VolumesRemain', new RegExp(`no migration under way for ${volume}$`));
  await claimSays(volume, 'never');
  await becomes('True', 'KeptVolumesLeft', /is kept/);
});

async function signalsOfEviction(): Promise<readonly string[]> {
  const { events } = await asking.temporal.workflow.getHandle(workflowId.evictNode('n1')).fetchHistory();
  return (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signaled }) => signaled?.signalName ?? []);
}

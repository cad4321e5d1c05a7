import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createClusterActivities } from '../../activities/cluster/index.ts';
import { migrationName } from '../../activities/cluster/migration-objects.ts';
import type { MigrateVolumeInput, MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation, Label, MIGRATION_FINALIZER } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { localVolumeMigrates, localVolumeReplicas } from '../../system/kube/hwameistor-resources.ts';
import { nodes, persistentVolumeClaims, pods, volumeAttachments } from '../../system/kube/resources.ts';
import { MiB, MigrationWorld, POOL } from './migration-world.ts';

let world: MigrationWorld;
let n1: MirrorEnd;
let n2: MirrorEnd;

beforeAll(async () => {
  world = await MigrationWorld.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  n2 = await world.addNode('n2', '10.77.0.2');
  await world.cordon('n1');
});
afterAll(() => world?.stop());
afterEach(async () => {
  await world.clear('pods', pods);
  await world.clear('volumeAttachments', volumeAttachments);
  expect(world.errors).toEqual([]);
});

const move = (volume: string): MigrateVolumeInput => ({ volume, sourceNode: 'n1', trigger: 'node-drain' });
const read = (name: string): Promise<LocalVolumeMigrate> => world.client.get(localVolumeMigrates, { name });

describe('opening a migration', () => {
  test('makes a LocalVolumeMigrate as HwameiStor shows it', async () => {
    await world.addVolume('opened', n1);
    const record = await world.activities.openMigration(move('opened'));
    expect(record).toEqual({
      ref: { name: expect.stringMatching(/^opened-[a-z0-9]{6}$/), uid: expect.any(String), volume: 'opened' },
      sourceNode: 'n1',
      source: n1,
      phase: 'Pending',
      pointOfNoReturn: false,
      abortedByPerson: false,
      hashCheck: true,
    });
    const { metadata, spec, status } = await read(record.ref.name);
    expect(metadata.finalizers).toEqual([MIGRATION_FINALIZER]);
    expect(metadata.labels).toEqual({ [Label.volume]: 'opened', [Label.trigger]: 'node-drain' });
    expect(spec).toEqual({ volumeName: 'opened', sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: false, abort: false });
    expect(status).toMatchObject({
      state: 'Submitted',
      phase: 'Pending',
      originalReplicaNumber: 1,
      volumes: ['opened'],
      workflowId: 'migrate-opened',
    });
  });

  test('adopts the one that has not ended, with all that it recorded', async () => {
    const { ref } = await world.activities.openMigration(move('adopted'));
    await world.activities.reportPhase({
      ref,
      phase: 'Syncing',
      message: 'test',
      target: n2,
      pairing: 3,
      sizeBytes: 64 * MiB,
      pool: 'hdd',
    });
    await world.activities.reportPhase({ ref, phase: 'NeedsAttention', parkedIn: 'Syncing', message: 'test' });
    const expected = { ref, phase: 'NeedsAttention', parkedIn: 'Syncing', target: n2, pairing: 3, sizeBytes: 64 * MiB, pool: 'hdd' };
    expect(await world.activities.openMigration(move('adopted'))).toMatchObject(expected);
    expect(await world.activities.findMigration({ volume: 'adopted' })).toMatchObject(expected);
  });

  test('of many at once, by two controllers, opens one', async () => {
    const other = createClusterActivities(world.dependencies);
    const opened = await Promise.all(
      [world.activities, other, world.activities, other].map((each) => each.openMigration(move('contended'))),
    );
    expect(new Set(opened.map(({ ref }) => ref.uid)).size).toBe(1);
    expect(await world.client.list(localVolumeMigrates, { labelSelector: `${Label.volume}=contended` })).toHaveLength(1);
  });

  test('opens another once the last has ended, and finds none in between', async () => {
    const { ref } = await world.activities.openMigration(move('ended'));
    await world.activities.reportPhase({ ref, phase: 'Aborted', message: 'test' });
    expect(await world.activities.findMigration({ volume: 'ended' })).toBeUndefined();
    const next = await world.activities.openMigration(move('ended'));
    expect(next.ref.name).not.toBe(ref.name);
  });

  test('is refused once the volume has moved: whoever asks then has outlived its workflow', async () => {
    await world.addVolume('moved', n1);
    const ref = await world.cutOver('moved', 'n1', n2);
    await world.activities.switchObjects({ ref, sourceNode: 'n1', target: n2, sizeBytes: 64 * MiB, pool: POOL });
    await world.activities.removeSourceReplica({ ref, sourceNode: 'n1' });
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'test' });
    await expect(world.activities.openMigration(move('moved'))).rejects.toMatchObject({ type: 'SourceReplicaMissing' });
    expect(await world.client.list(localVolumeMigrates, { labelSelector: `${Label.volume}=moved` })).toHaveLength(1);
  });

  test.each([
    ['a move of another volume', 'squatted', 'other'],
    ['a move of this volume that has not been begun', 'asked-for', 'asked-for'],
  ])('takes another name where somebody has given its own to %s', async (_, volume, volumeName) => {
    const name = migrationName(volume, []);
    const spec = { volumeName, sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: false, abort: false };
    await world.client.create(localVolumeMigrates, { metadata: { name }, spec });
    const { ref } = await world.activities.openMigration(move(volume));
    expect(ref.name).not.toBe(name);
    expect((await world.activities.openMigration(move(volume))).ref).toEqual(ref);
  });

  test('one that somebody has deleted allows no report', async () => {
    const { ref } = await world.activities.openMigration(move('deleted'));
    await world.client.mergePatch(localVolumeMigrates, { name: ref.name }, { metadata: { finalizers: [] } });
    await world.client.delete(localVolumeMigrates, { name: ref.name });
    await expect(world.activities.reportPhase({ ref, phase: 'Syncing', message: 'test' })).rejects.toMatchObject({ type: 'NotPermitted' });
  });
});

describe('reporting a phase', () => {
  test('is refused where it was ordered before the last report: its workflow was terminated since', async () => {
    const { ref } = await world.activities.openMigration(move('overtaken'));
    await world.activities.reportPhase({ ref, phase: 'Verifying', message: 'test' });
    const late = createClusterActivities({ ...world.dependencies, scheduledAt: () => Date.now() - 60_000 });
    await expect(late.reportPhase({ ref, phase: 'Preparing', message: 'late' })).rejects.toMatchObject({ type: 'StaleActivity' });
    expect((await read(ref.name)).status).toMatchObject({ phase: 'Verifying', message: 'test' });
  });

  test('writes it in both vocabularies, and times the first entry only', async () => {
    const { ref } = await world.activities.openMigration(move('timed'));
    const report = { ref, phase: 'Syncing', message: 'first', target: n2 } as const;
    await world.activities.reportPhase(report);
    const first = (await read(ref.name)).status;
    expect(first).toMatchObject({ phase: 'Syncing', state: 'SyncReplica', message: 'first', targetNode: 'n2', target: n2 });
    await world.activities.reportPhase({ ref, phase: 'Verifying', message: 'test' });
    await world.activities.reportPhase({ ...report, message: 'again' });
    const again = (await read(ref.name)).status;
    expect(again?.phaseTimes?.Syncing).toBe(first?.phaseTimes?.Syncing);
    expect(Object.keys(again?.phaseTimes ?? {}).sort()).toEqual(['Pending', 'Syncing', 'Verifying']);
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'done' });
    expect((await read(ref.name)).status).toMatchObject({ state: 'Completed', endTime: expect.any(String) });
  });

  test('keeps what the agent writes meanwhile', async () => {
    const { ref } = await world.activities.openMigration(move('progressing'));
    const progress = { percent: 40, syncedBytes: 4, totalBytes: 10, bytesPerSecond: 1 };
    const agent = Array.from({ length: 5 }, () =>
      world.client.mergePatch(localVolumeMigrates, { name: ref.name }, { status: { progress } }, { subresource: 'status' }),
    );
    await Promise.all([...agent, world.activities.reportPhase({ ref, phase: 'Syncing', message: 'test' })]);
    expect((await read(ref.name)).status).toMatchObject({ phase: 'Syncing', progress });
    // Kubectl's PERCENT is of what is under way.
    await world.activities.reportPhase({ ref, phase: 'AwaitingDetach', message: 'has a proven copy' });
    expect((await read(ref.name)).status).not.toHaveProperty('progress');
  });

  test('a migration that looks for a target again has none', async () => {
    const { ref } = await world.activities.openMigration(move('homeless'));
    await world.activities.reportPhase({ ref, phase: 'Preparing', message: 'test', target: n2 });
    await world.activities.reportPhase({
      ref,
      phase: 'Reserving',
      message: 'no node can take the volume',
      refusals: { n2: 'BlockSizeTooLarge', n1: 'SourceNode' },
      event: 'WaitingForTarget',
    });
    const { status } = await read(ref.name);
    expect(status?.target).toBeUndefined();
    expect(status?.targetNode).toBeUndefined();
    expect(status?.message).toBe('no node can take the volume: n1 SourceNode, n2 BlockSizeTooLarge');
  });

  test('is told as an Event to migration, LocalVolume, claim, node and the pods that wait', async () => {
    await world.addVolume('told', n1);
    const waiting = await world.addPod('told-0', 'told');
    const { ref } = await world.activities.openMigration(move('told'));
    const report = { ref, phase: 'Reserving', message: 'no node', event: 'WaitingForTarget' } as const;
    await world.activities.reportPhase(report);
    await world.activities.reportPhase(report);
    const claim = await world.client.get(persistentVolumeClaims, { namespace: 'default', name: 'told' });
    const node = await world.client.get(nodes, { name: 'n1' });
    for (const uid of [ref.uid, claim.metadata.uid, node.metadata.uid, waiting.metadata.uid]) {
      const told = (await world.eventsOf(uid)).filter(({ reason, note }) => reason === 'WaitingForTarget' && note?.includes('told'));
      expect(told.map(({ note, type, series }) => [note, type, series?.count])).toEqual([['volume told: no node', 'Warning', 2]]);
    }
  });

  test('the point of no return has no way back', async () => {
    const { ref } = await world.activities.openMigration(move('forward'));
    await world.activities.reportPhase({ ref, phase: 'CuttingOver', message: 'test', target: n2, pointOfNoReturn: true });
    for (const phase of ['Aborting', 'Aborted', 'Pending', 'Syncing', 'Reserving'] as const) {
      await expect(world.activities.reportPhase({ ref, phase, message: 'late' })).rejects.toMatchObject({ type: 'PointOfNoReturnPassed' });
    }
    await world.activities.reportPhase({ ref, phase: 'NeedsAttention', parkedIn: 'CuttingOver', reason: 'HashMismatch', message: 'test' });
    expect((await read(ref.name)).status).toMatchObject({
      pointOfNoReturn: true,
      reason: 'HashMismatch',
      state: 'PruneReplica',
      target: n2,
    });
    await world.activities.reportPhase({ ref, phase: 'Completed', message: 'test' });
    await expect(world.activities.reportPhase({ ref, phase: 'CuttingOver', message: 'late' })).rejects.toMatchObject({
      type: 'StaleActivity',
    });
  });
});

describe('observing a volume', () => {
  test('says what the objects say', async () => {
    await world.addVolume('observed', n1);
    expect(await world.activities.observeVolume(move('observed'))).toEqual({
      localVolume: {
        pool: 'LocalStorage_PoolHDD',
        requiredCapacityBytes: 64 * MiB,
        allocatedCapacityBytes: 64 * MiB,
        convertible: false,
        replicaNodes: ['n1'],
      },
      sourceReplica: { name: 'observed-abc123' },
      source: n1,
      heldBy: [],
      agentAlive: { n1: true },
    });
    expect(await world.activities.observeVolume(move('nowhere'))).toEqual({ source: n1, heldBy: [], agentAlive: { n1: true } });
  });

  test('is held by pod, kubelet and attachment, each until it lets go', async () => {
    await world.addVolume('held', n1, { publishedNode: 'n1' });
    const { ref } = await world.activities.openMigration(move('held'));
    const heldBy = async () => (await world.activities.observeVolume({ ...move('held'), ref })).heldBy;
    expect(await heldBy(), 'a published node alone is history').toEqual([]);

    const pod = await world.addPod('held-0', 'held', 'n1');
    await world.attach('held', 'n1');
    await world.setVolumesInUse('n1', ['held', 'other']);
    expect(await heldBy()).toEqual(['VolumeAttachment csi-held', 'pod default/held-0', 'volumesInUse of node n1']);
    await world.removePod(pod);
    expect(await heldBy()).toEqual(['VolumeAttachment csi-held', 'volumesInUse of node n1']);
    await world.setVolumesInUse('n1', ['other']);
    expect(await heldBy()).toEqual(['VolumeAttachment csi-held']);
    await world.clear('volumeAttachments', volumeAttachments);
    expect(await heldBy()).toEqual([]);
  });

  test('is not held by pods that wait, run elsewhere, have ended or use another claim', async () => {
    await world.addVolume('free', n1);
    await world.addPod('free-waiting', 'free');
    await world.addPod('free-elsewhere', 'free', 'n2');
    await world.addPod('free-other', 'other', 'n1');
    const ended = await world.addPod('free-evicted', 'free', 'n1');
    const failed = await world.client.mergePatch(
      pods,
      ended.metadata,
      { status: { phase: 'Failed', reason: 'Evicted' } },
      { subresource: 'status' },
    );
    await world.seen('pods', failed);
    expect(await world.activities.observeVolume(move('free'))).toMatchObject({ heldBy: [], hasUsers: true });
  });

  test('is no longer wanted on a node that is uncordoned, or whose label says so', async () => {
    await world.addVolume('unwanted', n1);
    const unwanted = async () => (await world.activities.observeVolume(move('unwanted'))).unwanted;
    const label = async (value: string | null) =>
      world.seen('nodes', await world.client.mergePatch(nodes, { name: 'n1' }, { metadata: { labels: { [Label.eviction]: value } } }));
    expect(await unwanted()).toBeUndefined();
    await label('disable');
    expect(await unwanted()).toBe('node n1 has label hwameistor.io/eviction=disable');
    await label(null);
    await world.cordon('n1', false);
    expect(await unwanted()).toBe('node n1 is not cordoned');
    await world.cordon('n1');
    expect(await unwanted()).toBeUndefined();
  });

  test('the first look does not believe a store that lags behind a move', async () => {
    await world.addVolume('left', n1);
    const stale = [...world.watchers.stores.localVolumeReplicas.list()];
    const localVolumeReplicasBefore = { list: () => stale, get: (key: string) => stale.find(({ metadata }) => metadata.name === key) };
    const late = createClusterActivities({
      ...world.dependencies,
      stores: { ...world.watchers.stores, localVolumeReplicas: localVolumeReplicasBefore },
    });
    const ref = await world.cutOver('left', 'n1', n2);
    const request = { ref, sourceNode: 'n1', target: n2, sizeBytes: 64 * MiB, pool: 'LocalStorage_PoolHDD' };
    await world.activities.switchObjects(request);
    await world.activities.removeSourceReplica({ ref, sourceNode: 'n1' });
    const facts = await late.observeVolume(move('left'));
    expect(facts.sourceReplica).toBeUndefined();
    expect(facts.localVolume?.replicaNodes).toEqual(['n2']);
  });

  test('says which agents are away, and how far the sync is', async () => {
    const n3 = await world.addNode('n3', '10.77.0.3');
    await world.silenceAgent('n3');
    await world.addVolume('syncing', n1);
    const { ref } = await world.activities.openMigration(move('syncing'));
    await world.activities.reportPhase({ ref, phase: 'Syncing', message: 'test', target: n3 });
    const progress = { percent: 40, syncedBytes: 4, totalBytes: 10, bytesPerSecond: 1 };
    await world.seen(
      'localVolumeMigrates',
      await world.client.mergePatch(localVolumeMigrates, { name: ref.name }, { status: { progress } }, { subresource: 'status' }),
    );
    expect(await world.activities.observeVolume({ ...move('syncing'), ref })).toMatchObject({
      agentAlive: { n1: true, n3: false },
      percent: 40,
    });
  });
});

describe('observing a node that is emptied', () => {
  test('names its volumes, what runs and what a person holds back', async () => {
    const from = await world.addNode('m1', '10.77.0.11');
    await world.addVolume('moving', from, { claimed: false });
    await world.addVolume('staying', from, { claimed: false });
    await world.addReplica('orphaned', 'orphaned-abc123', 'm1');
    const input = (volume: string): MigrateVolumeInput => ({ volume, sourceNode: 'm1', trigger: 'node-drain' });
    const moving = await world.activities.openMigration(input('moving'));
    await world.activities.reportPhase({ ref: moving.ref, phase: 'Preparing', message: 'prepares', target: n2 });
    const staying = await world.activities.openMigration(input('staying'));
    await world.activities.reportPhase({ ref: staying.ref, phase: 'Aborted', message: 'test', abortedByPerson: true });
    await world.seen('localVolumeMigrates', await read(staying.ref.name));
    await world.seen('localVolumeMigrates', await read(moving.ref.name));

    expect(await world.activities.observeNodeEviction({ node: 'm1' })).toEqual({
      exists: true,
      cordoned: false,
      disabled: false,
      volumes: [
        { volume: 'moving', held: false },
        { volume: 'orphaned', held: false },
        { volume: 'staying', held: true },
      ],
      running: [{ volume: 'moving', phase: 'Preparing', target: 'n2', message: 'prepares' }],
    });

    await world.activities.releaseHolds({ node: 'm1' });
    const released = await read(staying.ref.name);
    expect(released.metadata.annotations?.[Annotation.holdReleased]).toBe('true');
    await world.seen('localVolumeMigrates', released);
    const { volumes } = await world.activities.observeNodeEviction({ node: 'm1' });
    expect(volumes.filter(({ held }) => held)).toEqual([]);
    await world.clear('localVolumeReplicas', localVolumeReplicas);
  });

  test('tells what a verify waits for, and only while it is to be verified', async () => {
    const from = await world.addNode('m2', '10.77.0.12');
    await world.addVolume('patient', from, { claimed: false });
    const { ref } = await world.activities.openMigration({ volume: 'patient', sourceNode: 'm2', trigger: 'node-drain' });
    const progress = { percent: 0, syncedBytes: 0, totalBytes: 10, bytesPerSecond: 0, waitsFor: 'the verify of mirror other' };
    await world.client.mergePatch(localVolumeMigrates, { name: ref.name }, { status: { progress } }, { subresource: 'status' });
    const toldIn = async (phase: 'Verifying' | 'AwaitingDetach') => {
      await world.activities.reportPhase({ ref, phase, message: 'compares', target: n2 });
      await world.seen('localVolumeMigrates', await read(ref.name));
      return (await world.activities.observeNodeEviction({ node: 'm2' })).running[0]?.message;
    };
    expect(await toldIn('Verifying')).toBe('compares, waits for the verify of mirror other');
    expect(await toldIn('AwaitingDetach')).toBe('compares');
    await world.clear('localVolumeReplicas', localVolumeReplicas);
  });

  test('sees a node as it is now, and one that is gone', async () => {
    await world.client.mergePatch(
      nodes,
      { name: 'n2' },
      { spec: { unschedulable: true }, metadata: { labels: { [Label.eviction]: 'disable' } } },
    );
    expect(await world.activities.observeNodeEviction({ node: 'n2' })).toMatchObject({ exists: true, cordoned: true, disabled: true });
    expect(await world.activities.observeNodeEviction({ node: 'gone' })).toEqual({
      exists: false,
      cordoned: false,
      disabled: false,
      volumes: [],
      running: [],
    });
  });

  test('an eviction is told on its node', async () => {
    await world.activities.reportNodeEviction({ node: 'n1', event: 'EvictionStarted', message: 'moves 3 volumes' });
    const { metadata } = await world.client.get(nodes, { name: 'n1' });
    expect((await world.eventsOf(metadata.uid)).map(({ reason, note }) => `${reason}: ${note}`)).toContain(
      'EvictionStarted: moves 3 volumes',
    );
  });
});

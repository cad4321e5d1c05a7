import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Annotation } from '../../core/contracts/names.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { pods } from '../../system/kube/resources.ts';
import { MigrateRequests, soon } from './migrate-requests.ts';

/** No worker runs: what triggers have said stands in the workflows' histories, and the tests do what a run would do. */
let asking: MigrateRequests;

beforeAll(async () => {
  asking = await MigrateRequests.start();
});
afterAll(() => asking?.stop());
beforeEach(() => asking.startTriggers());
afterEach(async () => {
  await asking.clear();
  expect(asking.problems.splice(0)).toEqual([]);
});

describe('a second one for the same volume', () => {
  test('follows the first, and ends as that does', async () => {
    const volume = await asking.addVolume();
    await asking.ask('first', { volumeName: volume });
    await asking.begin(volume);
    await asking.ask('second', { volumeName: volume, targetNodesSuggested: ['n2'] });
    const message = 'follows LocalVolumeMigrate first, which moves this volume already, and ends as that does';
    await asking.isInState('second', { state: 'Submitted', phase: 'Pending', follows: 'first', message });
    const { metadata } = await asking.read('first');
    const ref = { name: 'first', uid: metadata.uid, volume };
    await asking.world.activities.reportPhase({ ref, phase: 'Completed', message: 'moved from n1 to n2', target: asking.n2 });
    await asking.isInState('second', {
      state: 'Completed',
      targetNode: 'n2',
      message: 'ended as LocalVolumeMigrate first: moved from n1 to n2',
    });
  });

  test('follows the one of a drain', async () => {
    const volume = await asking.addVolume();
    const { ref } = await asking.world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
    await asking.ask('second', { volumeName: volume });
    await asking.isInState('second', { follows: ref.name });
    await asking.world.activities.reportPhase({ ref, phase: 'Aborted', message: 'no longer wanted: node n1 is not cordoned' });
    await asking.isInState('second', {
      state: 'Aborted',
      message: `ended as LocalVolumeMigrate ${ref.name}: no longer wanted: node n1 is not cordoned`,
    });
    expect(await asking.startedWith(volume)).toBeUndefined();
  });

  test('is begun itself, where the first is gone without a word', async () => {
    const volume = await asking.addVolume();
    const { ref } = await asking.world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
    await asking.ask('second', { volumeName: volume });
    await asking.isInState('second', { follows: ref.name });
    await asking.world.client.jsonPatch(localVolumeMigrates, ref, [{ op: 'remove', path: '/metadata/finalizers' }]);
    await asking.world.client.delete(localVolumeMigrates, ref);
    expect((await asking.isStarted(volume)).request?.name).toBe('second');
    await asking.begin(volume);
    const { status } = await asking.read('second');
    expect(status?.follows).toBeUndefined();
    expect(status?.phase).toBe('Pending');
  });

  test('aborted on its own leaves the first alone', async () => {
    const volume = await asking.addVolume();
    await asking.ask('first', { volumeName: volume });
    await asking.begin(volume);
    await asking.ask('second', { volumeName: volume });
    await asking.isInState('second', { follows: 'first' });
    await asking.write('second', { abort: true });
    await asking.isInState('second', { state: 'Aborted', message: 'aborted before it was begun' });
    expect((await asking.read('first')).status?.phase).toBe('Pending');
    expect(await asking.signalsOf(volume)).not.toContain('abort');
  });

  test('made in the same moment: one is begun, the others follow', async () => {
    const volume = await asking.addVolume();
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all(names.map((name) => asking.ask(name, { volumeName: volume })));
    const begun = await asking.begin(volume);
    for (const name of names.filter((each) => each !== begun)) await asking.isInState(name, { follows: begun });
  });
});

describe('volumes of one pod', () => {
  async function podOf(...volumes: string[]): Promise<void> {
    const claims = volumes.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
    await asking.world.addPod(`pod-of-${volumes[0]}`, volumes[0]!, 'n1', { volumes: claims });
  }

  test('each get a LocalVolumeMigrate, which names the one that was asked for', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    await asking.ask('group', { volumeName: data, targetNodesSuggested: ['n2'] }, { [Annotation.replicaAffinity]: 'forbid' });
    await Promise.all([asking.isStarted(data), asking.isStarted(log)]);
    const [other] = (await asking.world.client.list(localVolumeMigrates)).filter(({ spec }) => spec.volumeName === log);
    expect(other?.spec).toEqual({ volumeName: log, sourceNode: 'n1', targetNodesSuggested: ['n2'], migrateAllVols: true, abort: false });
    expect(other?.metadata.annotations).toEqual({ [Annotation.movesWith]: 'group', [Annotation.replicaAffinity]: 'forbid' });
    await Promise.all([asking.begin(data), asking.begin(log)]);
    expect(await asking.world.client.list(localVolumeMigrates)).toHaveLength(2);
  });

  test('move together also where a store has yet to hear of their pod', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    await asking.stopTriggers();
    asking.startTriggers({ ...asking.world.watchers.stores, pods: { list: () => [], get: () => undefined } });
    await asking.ask('early', { volumeName: data });
    await asking.isStarted(log);
  });

  test('are asked for by the first alone: those that move with it ask for no other', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    const first = await asking.addVolume();
    await asking.ask('leader', { volumeName: first });
    await asking.begin(first);
    // A look at it that is not over yet would see the companion, and ask for what is bound to that.
    await asking.settle(first);
    await asking.ask('companion', { volumeName: log, migrateAllVols: false }, { [Annotation.movesWith]: 'leader' });
    await asking.isStarted(log);
    expect(await asking.world.client.list(localVolumeMigrates)).toHaveLength(2);
  });

  test('stay together when the one that was asked for is aborted', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    const { metadata } = await asking.ask('leader', { volumeName: data });
    const input = await asking.isStarted(log);
    await Promise.all([asking.begin(data), asking.begin(log)]);
    const before = await asking.settle(log);
    await asking.world.activities.reportPhase({
      ref: { name: 'leader', uid: metadata.uid, volume: data },
      phase: 'Aborting',
      message: 'test',
    });
    await vi.waitFor(async () => expect(await asking.signalsOf(log)).toEqual([...before, 'lookAgain']), soon);
    const { unwanted } = await asking.world.activities.observeVolume({ ...input, ref: { ...input.request!, volume: log } });
    expect(unwanted).toBe('LocalVolumeMigrate leader, with which it moves, is aborted');
  });

  test('stay together when the one that was asked for is deleted before it was begun, be they begun or not', async () => {
    const [data, log, wal] = [await asking.addVolume(), await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log, wal);
    await asking.ask('leader', { volumeName: data });
    await Promise.all([data, log, wal].map((volume) => asking.isStarted(volume)));
    const [begun, waiting] = [await asking.begin(log), (await asking.startedWith(wal))!.request!.name];
    const before = await asking.settle(log);
    await asking.world.client.delete(localVolumeMigrates, { name: 'leader' });
    const message = 'LocalVolumeMigrate leader, with which it moves, is gone';
    await asking.isInState(waiting, { state: 'Aborted', message });
    await vi.waitFor(async () => expect(await asking.signalsOf(log)).toEqual([...before, 'lookAgain']), soon);
    const ref = { name: begun, uid: (await asking.read(begun)).metadata.uid, volume: log };
    const { unwanted } = await asking.world.activities.observeVolume({ volume: log, sourceNode: 'n1', trigger: 'migrate-request', ref });
    expect(unwanted).toBe(message);
  });

  test('stay together when another one is deleted, also where no pod uses them any more; a later attempt goes on', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    await asking.ask('leader', { volumeName: data });
    await Promise.all([data, log].map((volume) => asking.isStarted(volume)));
    const [leader, companion] = [await asking.begin(data), await asking.begin(log)];
    await asking.world.clear('pods', pods);
    const before = await asking.settle(data);
    await asking.world.client.delete(localVolumeMigrates, { name: companion });
    const verdict = async (name: string) => (await asking.observe(name)).companions?.takenBackWith;
    expect(await verdict(leader)).toBeUndefined();
    const { unwanted: message = '' } = await asking.observe(companion);
    expect(message).toBe(`LocalVolumeMigrate ${companion} is deleted`);
    await asking.report(companion, { phase: 'Aborting', message });
    await vi.waitFor(async () => expect(await asking.signalsOf(data)).toEqual([...before, 'lookAgain']), soon);
    expect(await verdict(leader)).toEqual({ volume: log, byPerson: false, message });
    await asking.report(companion, { phase: 'Aborted', message });
    expect(await verdict(leader)).toEqual({ volume: log, byPerson: false, message });

    await asking.report(leader, { phase: 'Aborted', message });
    await podOf(data, log);
    const { ref } = await asking.world.activities.openMigration({ volume: data, sourceNode: 'n1', trigger: 'node-drain' });
    await asking.world.seen('localVolumeMigrates', await asking.read(ref.name));
    expect(await verdict(ref.name)).toBeUndefined();
  });

  test('stay together when another one is deleted before it was begun', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    await asking.ask('leader', { volumeName: data });
    const { name } = (await asking.isStarted(log)).request!;
    const leader = await asking.begin(data);
    await asking.world.client.delete(localVolumeMigrates, { name });
    const message = `LocalVolumeMigrate ${name} is deleted`;
    await asking.isInState(name, { state: 'Aborted', message });
    await asking.world.seen('localVolumeMigrates', await asking.read(name));
    expect((await asking.observe(leader)).companions?.takenBackWith).toEqual({ volume: log, byPerson: false, message });
  });

  test('move together when no pod uses them, if they are of one LocalVolumeGroup', async () => {
    const grouped = { claimed: false, group: 'db-0' };
    const [data, log] = [await asking.addVolume(asking.n1, grouped), await asking.addVolume(asking.n1, grouped)];
    await asking.ask('grouped', { volumeName: data });
    expect((await asking.isStarted(log)).sourceNode).toBe('n1');
    await asking.isStarted(data);
  });

  test('move together where only a third one binds them: that is used by the pods of both', async () => {
    const [data, shared, log] = [await asking.addVolume(), await asking.addVolume(), await asking.addVolume()];
    await podOf(data, shared);
    await podOf(shared, log);
    await asking.ask('end-of-chain', { volumeName: data });
    expect(await asking.read((await asking.isStarted(log)).request!.name)).toMatchObject({
      metadata: { annotations: { [Annotation.movesWith]: 'end-of-chain' } },
    });
    await asking.isStarted(shared);
  });

  test('are not torn apart: one alone is refused with the others, and moves where they have gone', async () => {
    const [data, log] = [await asking.addVolume(), await asking.addVolume()];
    await podOf(data, log);
    await asking.ask('alone', { volumeName: data, migrateAllVols: false });
    await asking.isInState('alone', {
      state: 'Aborted',
      reason: 'OtherVolumesBound',
      message: `refused: ${data} moves only together with ${log}, which would stay on n1: set migrateAllVols`,
    });
    const far = await asking.addVolume(asking.n2);
    const near = await asking.addVolume();
    await podOf(near, far);
    await asking.ask('after', { volumeName: near, migrateAllVols: false });
    await asking.isStarted(near);
  });
});

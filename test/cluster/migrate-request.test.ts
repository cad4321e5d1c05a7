import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Label, MIGRATION_FINALIZER, workflowId } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { REQUEST_REFUSALS } from '../../core/contracts/reasons.ts';
import type { NewObject } from '../../system/kube/client.ts';
import { localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { migrateSpec } from './hostile-objects.ts';
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

describe('a LocalVolumeMigrate that somebody made', () => {
  test('starts a run, which makes it its record, with a finalizer until it has ended', async () => {
    const volume = await asking.addVolume();
    const { metadata } = await asking.ask('asked', { volumeName: volume });
    expect(await asking.isStarted(volume)).toEqual({
      volume,
      sourceNode: 'n1',
      trigger: 'migrate-request',
      request: { name: 'asked', uid: metadata.uid },
    });
    const facts = await asking.world.activities.observeVolume(await asking.isStarted(volume));
    expect(facts.unwanted, 'n1 is not cordoned').toBeUndefined();
    expect(await asking.begin(volume)).toBe('asked');
    const begun = await asking.read('asked');
    expect(begun.metadata).toMatchObject({
      uid: metadata.uid,
      finalizers: [MIGRATION_FINALIZER],
      labels: { [Label.trigger]: 'migrate-request', [Label.volume]: volume },
    });
    expect(begun.status).toMatchObject({ phase: 'Pending', state: 'Submitted', workflowId: `migrate-${volume}` });
    expect(await asking.world.client.list(localVolumeMigrates)).toHaveLength(1);
  });

  test('is picked up where it was made while no controller ran', async () => {
    await asking.stopTriggers();
    const volume = await asking.addVolume();
    await asking.world.seen('localVolumeMigrates', await asking.ask('missed', { volumeName: volume }));
    asking.startTriggers();
    await asking.isStarted(volume);
  });

  test('is not refused because a store has yet to hear of its volume', async () => {
    await asking.stopTriggers();
    const nothing = { list: () => [], get: () => undefined };
    asking.startTriggers({ ...asking.world.watchers.stores, localVolumes: nothing, localVolumeReplicas: nothing });
    const volume = await asking.addVolume();
    await asking.ask('together', { volumeName: volume });
    await asking.isStarted(volume);
  });

  test.each([
    ['of an unknown volume', { volumeName: 'ghost' }, 'LocalVolumeMissing', 'refused: there is no LocalVolume ghost'],
    ['from an unknown node', { sourceNode: 'nowhere' }, 'StorageNodeMissing', 'refused: there is no LocalStorageNode nowhere'],
    ['from a node where the volume is not', { sourceNode: 'n2' }, 'SourceReplicaMissing', /^refused: data-\d+ lies on n1, not on n2$/],
  ])('%s is refused, and says why', async (_, spec, reason, message) => {
    const volume = await asking.addVolume();
    await asking.ask('wrong', { volumeName: volume, ...spec });
    await asking.isInState('wrong', { state: 'Aborted', phase: 'Aborted', reason, message: expect.stringMatching(message) });
    const { metadata, status } = await asking.read('wrong');
    expect(metadata.finalizers).toBeUndefined();
    expect(Date.parse(status?.endTime ?? '')).toBeGreaterThan(Date.parse(metadata.creationTimestamp) - 1000);
    expect(await asking.startedWith(volume)).toBeUndefined();
  });

  test('is withdrawn before it was begun by spec.abort', async () => {
    const volume = await asking.addVolume();
    await asking.ask('aborted', { volumeName: volume, abort: true });
    await asking.isInState('aborted', { state: 'Aborted', message: 'aborted before it was begun' });
    expect(await asking.startedWith(volume)).toBeUndefined();
  });

  test('is not begun by a run that comes when it is deleted, or to be aborted', async () => {
    const volume = await asking.addVolume();
    await asking.ask('deleted', { volumeName: volume });
    const input = await asking.isStarted(volume);
    await asking.world.client.delete(localVolumeMigrates, { name: 'deleted' });
    await expect(asking.world.activities.openMigration(input)).rejects.toMatchObject({ type: 'RequestWithdrawn' });
    expect((await asking.world.activities.observeVolume(input)).unwanted).toBe('its LocalVolumeMigrate is gone');
    expect(await asking.world.activities.findMigration({ volume })).toBeUndefined();
    expect(await asking.world.client.list(localVolumeMigrates)).toEqual([]);
  });
});

describe('one that has been begun', () => {
  test('is wanted whether its node is cordoned or labelled, until it is deleted', async () => {
    const volume = await asking.addVolume();
    await asking.ask('wanted', { volumeName: volume });
    const input = await asking.isStarted(volume);
    await asking.begin(volume);
    const ref = { name: 'wanted', uid: input.request!.uid, volume };
    const unwanted = async () => (await asking.world.activities.observeVolume({ ...input, ref })).unwanted;
    await asking.world.cordon('n1');
    expect(await unwanted()).toBeUndefined();
    await asking.world.cordon('n1', false);
    expect(await unwanted()).toBeUndefined();
    await asking.world.client.delete(localVolumeMigrates, { name: 'wanted' });
    await asking.world.seen('localVolumeMigrates', await asking.read('wanted'));
    expect(await unwanted()).toBe('LocalVolumeMigrate wanted is deleted');
  });

  test('because its node is cordoned is wanted no longer when it is deleted', async () => {
    const volume = await asking.addVolume();
    await asking.world.cordon('n1');
    const input = { volume, sourceNode: 'n1', trigger: 'node-drain' } as const;
    const { ref } = await asking.world.activities.openMigration(input);
    expect((await asking.world.activities.observeVolume({ ...input, ref })).unwanted).toBeUndefined();
    await asking.world.client.delete(localVolumeMigrates, ref);
    await asking.world.seen('localVolumeMigrates', await asking.read(ref.name));
    expect((await asking.world.activities.observeVolume({ ...input, ref })).unwanted).toBe(`LocalVolumeMigrate ${ref.name} is deleted`);
    await asking.world.cordon('n1', false);
  });

  test('of a drain that joins it is judged by what somebody asked for, also at the first look', async () => {
    const volume = await asking.addVolume();
    await asking.ask('joined', { volumeName: volume });
    await asking.begin(volume);
    const drained = { volume, sourceNode: 'n1', trigger: 'node-drain' } as const;
    expect((await asking.world.activities.observeVolume(drained)).unwanted).toBeUndefined();
    expect((await asking.world.activities.openMigration(drained)).ref.name).toBe('joined');
  });

  test('has its run told to look again when it is deleted or other nodes are suggested, and to abort by spec.abort', async () => {
    const volume = await asking.addVolume();
    await asking.ask('told', { volumeName: volume });
    await asking.begin(volume);
    const before = await asking.settle(volume);
    await asking.write('told', { targetNodesSuggested: ['n2'] });
    await vi.waitFor(async () => expect(await asking.signalsOf(volume)).toEqual([...before, 'lookAgain']), soon);
    await asking.world.client.delete(localVolumeMigrates, { name: 'told' });
    await vi.waitFor(async () => expect(await asking.signalsOf(volume)).toEqual([...before, 'lookAgain', 'lookAgain']), soon);
    await asking.write('told', { abort: true });
    await vi.waitFor(async () => expect(await asking.signalsOf(volume)).toEqual([...before, 'lookAgain', 'lookAgain', 'abort']), soon);
  });

  test('is started again, where its run was terminated', async () => {
    const volume = await asking.addVolume();
    await asking.ask('terminated', { volumeName: volume });
    await asking.begin(volume);
    await asking.temporal.workflow.getHandle(workflowId.migrateVolume(volume)).terminate();
    await vi.waitFor(
      async () => {
        const { status } = await asking.temporal.workflow.getHandle(workflowId.migrateVolume(volume)).describe();
        expect(status.name).toBe('RUNNING');
      },
      { timeout: 25_000, interval: 200 },
    );
    expect(await asking.startedWith(volume)).toMatchObject({ trigger: 'migrate-request', request: { name: 'terminated' } });
  });

  test('cannot be turned to other volumes, nor its abort be taken back', async () => {
    const volume = await asking.addVolume();
    await asking.ask('fixed', { volumeName: volume, abort: true });
    await asking.isInState('fixed', { state: 'Aborted' });
    for (const change of [{ abort: false }, { volumeName: 'other' }, { sourceNode: 'n2' }, { migrateAllVols: false }])
      await expect(asking.write('fixed', change)).rejects.toMatchObject({
        status: 422,
        message: expect.stringContaining(Object.keys(change)[0]!),
      });
  });
});

describe('whatever somebody writes', () => {
  test('is refused with the field, refused with the reason, or moves a volume that is there from where it is', {
    timeout: 300_000,
  }, async () => {
    const volumes = [await asking.addVolume(), await asking.addVolume(asking.n2)];
    const lies = new Map([
      [volumes[0], 'n1'],
      [volumes[1], 'n2'],
    ]);
    const spec = migrateSpec([...volumes, ...volumes, 'ghost'], ['n1', 'n1', 'n2', 'nowhere']);
    const seen = { refusedBySchema: 0, refusedInMessage: 0, aborted: 0, begun: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(spec, { minLength: 10, maxLength: 20 }), async (specs) => {
        const names = await Promise.all(
          specs.map(async (each, index) => {
            const object = { metadata: { name: `fuzz-${index}` }, spec: each } as unknown as NewObject<LocalVolumeMigrate>;
            const refusal = await asking.world.client.create(localVolumeMigrates, object).then(() => undefined, String);
            if (refusal === undefined) return `fuzz-${index}`;
            expect(refusal).toMatch(/ (400|422) [\s\S]*spec/);
            seen.refusedBySchema += 1;
            return undefined;
          }),
        );
        const accepted = names.filter((name) => name !== undefined);
        for (const name of accepted) {
          await vi.waitFor(async () => {
            const { metadata, spec: asked, status } = await asking.read(name);
            if (status?.phase === 'Aborted') {
              const reasonOf = asked.abort ? [undefined] : REQUEST_REFUSALS;
              expect(reasonOf).toContain(status.reason);
              expect(status.message).toMatch(asked.abort ? /^aborted/ : /^refused: /);
              seen[asked.abort ? 'aborted' : 'refusedInMessage'] += 1;
              return;
            }
            expect(status?.phase, `${metadata.name} was neither refused nor begun`).toBeUndefined();
            expect(await asking.startedWith(asked.volumeName)).toMatchObject({ trigger: 'migrate-request' });
            expect(lies.get(asked.volumeName)).toBe(asked.sourceNode);
            expect(asked.targetNodesSuggested).not.toContain(asked.sourceNode);
            seen.begun += 1;
          }, soon);
        }
        await asking.world.clear('localVolumeMigrates', localVolumeMigrates);
        for (const volume of volumes)
          await asking.temporal.workflow
            .getHandle(workflowId.migrateVolume(volume))
            .terminate()
            .catch(() => undefined);
      }),
      { numRuns: 12, endOnFailure: true },
    );
    console.log(`of the objects: ${JSON.stringify(seen)}`);
    expect(Math.min(seen.refusedBySchema, seen.refusedInMessage, seen.begun)).toBeGreaterThan(0);
    await asking.world.clear('localVolumeReplicas', localVolumeReplicas);
    await asking.world.clear('localVolumes', localVolumes);
  });
});

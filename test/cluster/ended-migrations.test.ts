import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MigrationRef, MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation, MIGRATION_FINALIZER } from '../../core/contracts/names.ts';
import { EndedMigrationsReconciler } from '../../reconcilers/ended-migrations.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { MigrationWorld } from './migration-world.ts';

let world: MigrationWorld;
let n1: MirrorEnd;
let n2: MirrorEnd;
let reconciler: EndedMigrationsReconciler | undefined;
const problems: unknown[] = [];

beforeAll(async () => {
  world = await MigrationWorld.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  n2 = await world.addNode('n2', '10.77.0.2');
});
afterAll(() => world?.stop());
afterEach(async () => {
  await reconciler?.stop();
  await world.clear('localVolumeMigrates', localVolumeMigrates);
  expect(problems.splice(0)).toEqual([]);
});

async function reconcile(retentionSeconds: number): Promise<void> {
  await reconciler?.stop();
  const logger = { info: () => undefined, warn: (fields: object, message: string) => void problems.push({ ...fields, message }) };
  const { kube, stores, namespace } = world.dependencies;
  const now = () => new Date();
  reconciler = new EndedMigrationsReconciler({ kube, stores, changes: world.watchers, namespace, now, retentionSeconds, logger });
  reconciler.start();
}

let serial = 0;
async function end(phase: 'Completed' | 'Aborted', facts: { readonly abortedByPerson?: boolean; readonly target?: MirrorEnd } = {}) {
  const volume = `data-${++serial}`;
  await world.addVolume(volume, n1, { claimed: false });
  const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
  if (facts.target) await world.activities.reportPhase({ ref, phase: 'Preparing', message: 'test', target: facts.target });
  const { target, ...rest } = facts;
  await world.activities.reportPhase({ ref, phase, message: 'test', ...rest });
  return ref;
}

const find = (ref: MigrationRef) => world.client.find(localVolumeMigrates, ref);
/** The reconciler looks every 5 s. */
const soon = { timeout: 20_000, interval: 50 };
const isReleased = (ref: MigrationRef) => vi.waitFor(async () => expect((await find(ref))?.metadata.finalizers).toBeUndefined(), soon);
const isGone = (ref: MigrationRef) => vi.waitFor(async () => expect(await find(ref)).toBeUndefined(), soon);
/** Everything that ended has been looked at: the last one has lost its finalizer. */
const allLookedAt = async () => isReleased(await end('Completed'));

describe('a LocalVolumeMigrate that has ended', () => {
  test('may be deleted at once, stays for its time, and goes by itself', async () => {
    const [completed, aborted] = [await end('Completed'), await end('Aborted')];
    await reconcile(3600);
    await Promise.all([isReleased(completed), isReleased(aborted)]);
    await allLookedAt();
    expect(await find(completed)).toBeDefined();
    await reconcile(0);
    await Promise.all([isGone(completed), isGone(aborted)]);
  });

  test('that was deleted while it ran goes as soon as it has ended', async () => {
    const volume = `data-${++serial}`;
    await world.addVolume(volume, n1, { claimed: false });
    const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
    await reconcile(3600);
    await world.client.delete(localVolumeMigrates, ref);
    await allLookedAt();
    expect((await find(ref))?.metadata.finalizers).toEqual([MIGRATION_FINALIZER]);
    await world.activities.reportPhase({ ref, phase: 'Aborted', message: 'test' });
    await isGone(ref);
  });

  test('and keeps a volume on a node stays until the node is uncordoned', async () => {
    await world.cordon('n1');
    const held = await end('Aborted', { abortedByPerson: true });
    await reconcile(0);
    await isReleased(held);
    await allLookedAt();
    expect(await find(held)).toBeDefined();
    await world.cordon('n1', false);
    await isGone(held);
  });

  test('cannot be deleted while the agent of its target is away, or has yet to take its share away', async () => {
    const n3 = await world.addNode(`away-${serial}`, '10.77.0.3');
    const left = await end('Aborted', { target: n3 });
    const arriving = [{ volume: left.volume, bytes: 4_194_304 }];
    await world.reportPool(n3.node, { arriving });
    await world.silenceAgent(n3.node);
    await reconcile(0);
    await allLookedAt();
    expect((await find(left))?.metadata.finalizers).toEqual([MIGRATION_FINALIZER]);

    await world.reviveAgent(n3.node);
    await allLookedAt();
    expect((await find(left))?.metadata.finalizers).toEqual([MIGRATION_FINALIZER]);
    await world.reportPool(n3.node, { arriving: [] });
    await isGone(left);
  });

  test('cannot be deleted while others move with it, that go by it', async () => {
    const leader = await end('Aborted');
    const volume = `data-${++serial}`;
    await world.addVolume(volume, n1, { claimed: false });
    const { ref: companion } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
    const annotations = { [Annotation.movesWith]: leader.name };
    await world.seen('localVolumeMigrates', await world.client.mergePatch(localVolumeMigrates, companion, { metadata: { annotations } }));
    await reconcile(0);
    await allLookedAt();
    expect((await find(leader))?.metadata.finalizers).toEqual([MIGRATION_FINALIZER]);
    await world.activities.reportPhase({ ref: companion, phase: 'Aborted', message: 'test' });
    await isGone(leader);
  });

  test('cannot be deleted while the one that asked for it has not ended', async () => {
    const companion = await end('Aborted');
    const volume = `data-${++serial}`;
    await world.addVolume(volume, n1, { claimed: false });
    const { ref: leader } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
    const annotations = { [Annotation.movesWith]: leader.name };
    await world.seen('localVolumeMigrates', await world.client.mergePatch(localVolumeMigrates, companion, { metadata: { annotations } }));
    await reconcile(0);
    await allLookedAt();
    expect((await find(companion))?.metadata.finalizers).toEqual([MIGRATION_FINALIZER]);
    await world.activities.reportPhase({ ref: leader, phase: 'Aborted', message: 'test' });
    await isGone(companion);
  });

  test('and whose target still runs goes like any other', async () => {
    const aborted = await end('Aborted', { target: n2 });
    await reconcile(0);
    await isGone(aborted);
  });
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { markClaim } from '../../activities/cluster/eviction-marks.ts';
import type { ReserveRequest } from '../../core/contracts/cluster-activities.ts';
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { Annotation } from '../../core/contracts/names.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { GiB, MigrationWorld, POOL } from './migration-world.ts';

let world: MigrationWorld;
let n1: MirrorEnd;

beforeAll(async () => {
  world = await MigrationWorld.start();
  n1 = await world.addNode('n1', '10.77.0.1');
  await world.addNode('n2', '10.77.0.2');
  await world.addNode('n3', '10.77.0.3');
});
afterAll(() => world?.stop());

/** Each on its own would go to the node with more room left. */
async function migration(volume: string, claimed: boolean): Promise<ReserveRequest> {
  await world.addVolume(volume, n1, { claimed });
  const { ref } = await world.activities.openMigration({ volume, sourceNode: 'n1', trigger: 'node-drain' });
  await world.seen('localVolumeMigrates', await world.client.get(localVolumeMigrates, ref));
  return { ref, sourceNode: 'n1', pool: POOL, sizeBytes: GiB, givenUp: {} };
}

async function targetsOf(requests: readonly ReserveRequest[]): Promise<ReadonlySet<unknown>> {
  const results = await Promise.all(requests.map((request) => world.activities.reserveTarget(request)));
  for (const { ref } of requests) await world.activities.releaseReservation({ ref });
  return new Set(results.map((result) => (result.kind === 'reserved' ? result.target.node : result.refusals)));
}

test('the volumes of an evicted pod go to one node, though its object runs no more or is gone', async () => {
  const names = ['evicted-data', 'evicted-log'];
  const requests = await Promise.all(names.map((volume) => migration(volume, true)));
  const volumes = names.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
  const pod = await world.addPod('db-0', names[0]!, 'n1', { volumes });
  const mark = { uid: pod.metadata.uid, pod: 'db-0', node: 'n1', claims: names };
  for (const name of names) {
    await markClaim(world.dependencies.kube, { namespace: 'default', name }, mark);
    await world.seen('persistentVolumeClaims', await world.client.get(persistentVolumeClaims, { namespace: 'default', name }));
  }
  const status = { phase: 'Failed', reason: 'Evicted' };
  await world.seen('pods', await world.client.mergePatch(pods, pod.metadata, { status }, { subresource: 'status' }));
  expect(await targetsOf(requests)).toEqual(new Set(['n2']));
  await world.removePod(pod);
  expect((await targetsOf(requests)).size).toBe(1);
});

test('volumes that were asked for together go to one node, though no pod uses them', async () => {
  const [leader, other] = [await migration('asked', false), await migration('along', false)];
  const annotations = { [Annotation.movesWith]: leader.ref.name };
  const written = await world.client.mergePatch(localVolumeMigrates, other.ref, { metadata: { annotations } });
  await world.seen('localVolumeMigrates', written);
  expect((await targetsOf([leader, other])).size).toBe(1);
});

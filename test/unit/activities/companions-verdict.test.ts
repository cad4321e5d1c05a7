import { expect, test } from 'vitest';
import { companionsVerdict } from '../../../activities/cluster/companions.ts';
import type { ClusterStores } from '../../../activities/cluster/stores.ts';
import type { LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';
import { storeOf } from '../stores.ts';

/** One pod on n1 uses `data` and `log`. */
function storesWith(...migrates: readonly LocalVolumeMigrate[]): ClusterStores {
  const names = ['data', 'log'];
  const csi = (volumeHandle: string) => ({ driver: 'lvm.hwameistor.io', volumeHandle });
  return {
    nodes: storeOf(),
    volumeAttachments: storeOf(),
    localVolumeReplicas: storeOf(),
    localVolumeMigrates: storeOf(...migrates),
    localVolumes: storeOf(...names.map((name) => ({ metadata: { name }, spec: { config: { replicas: [{ hostname: 'n1' }] } } }))),
    persistentVolumes: storeOf(
      ...names.map((name) => ({ metadata: { name: `pv-${name}` }, spec: { csi: csi(name), claimRef: { namespace: 'a', name } } })),
    ),
    persistentVolumeClaims: storeOf(...names.map((name) => ({ metadata: { namespace: 'a', name }, spec: { volumeName: `pv-${name}` } }))),
    pods: storeOf({
      metadata: { namespace: 'a', name: 'db-0' },
      spec: { volumes: names.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })) },
      status: {},
    }),
  } as unknown as ClusterStores;
}

const move = (volume: string, trigger: string, status: object) =>
  ({
    metadata: { name: `${volume}-000000`, uid: volume, labels: { 'rehome.io/trigger': trigger } },
    spec: { volumeName: volume, sourceNode: 'n1' },
    status,
  }) as unknown as LocalVolumeMigrate;

const begunAt = (Pending: string) => move('data', 'pod-eviction', { phase: 'Pending', phaseTimes: { Pending } });
const takenBack = (byPerson: boolean) => {
  const phaseTimes = { Pending: '2026-01-01T00:00:00.000Z', Aborting: '2026-01-01T00:01:00.000Z' };
  return move('log', 'node-drain', { phase: 'Aborting', message: 'no longer wanted', phaseTimes, abortedByPerson: byPerson });
};

test.each<[string, string, boolean, boolean]>([
  ['while it runs takes it back', '2026-01-01T00:00:30.000Z', false, true],
  ['before it was begun does not: it would be begun again and again', '2026-01-01T00:01:05.000Z', false, false],
  ['before it was begun by a person does', '2026-01-01T00:01:05.000Z', true, true],
])('a volume of the same pod that is taken back %s', (_, begun, byPerson, isTakenBack) => {
  const own = begunAt(begun);
  expect(companionsVerdict(storesWith(takenBack(byPerson), own), own)?.takenBackWith?.volume).toBe(isTakenBack ? 'log' : undefined);
});

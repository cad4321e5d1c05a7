import { describe, expect, test } from 'vitest';
import { reportPhase } from '../../../activities/cluster/report-phase.ts';
import type { ClusterStores, PodView } from '../../../activities/cluster/stores.ts';
import type { LocalVolume, LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';
import type { EventReason } from '../../../core/contracts/reasons.ts';
import type { KubeClient } from '../../../system/kube/client.ts';
import type { EventToTell } from '../../../system/kube/events.ts';
import { storeOf } from '../stores.ts';

const meta = (name: string) => ({ name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' });
const migrate = {
  apiVersion: 'hwameistor.io/v1alpha1',
  kind: 'LocalVolumeMigrate',
  metadata: meta('data-000000'),
  spec: { volumeName: 'data', sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: false, abort: false },
  status: { phase: 'Reserving' },
} as const satisfies LocalVolumeMigrate;

/** Uses the volume's claim. */
function pod(name: string, nodeName?: string, phase = 'Running'): PodView {
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } }];
  return { metadata: { ...meta(name), namespace: 'default' }, spec: { volumes, ...(nodeName && { nodeName }) }, status: { phase } };
}

/** Names of the pods that hear of the Event. */
async function podsTold(event: EventReason, pods: readonly PodView[]): Promise<string[]> {
  const told: EventToTell[] = [];
  const localVolume = { metadata: meta('data'), spec: { pvcNamespace: 'default', pvcName: 'data-db-0' } } as LocalVolume;
  const nothing = storeOf<never>();
  const stores: ClusterStores = {
    nodes: nothing,
    persistentVolumes: nothing,
    persistentVolumeClaims: nothing,
    volumeAttachments: nothing,
    csiNodes: nothing,
    leases: nothing,
    localVolumeReplicas: nothing,
    localStorageNodes: nothing,
    localVolumeMigrates: nothing,
    localVolumes: storeOf(localVolume),
    pods: storeOf(...pods),
  };
  const kube = { find: async () => migrate, mergePatch: async () => migrate } as unknown as KubeClient;
  const events = { tell: async (one: EventToTell) => void told.push(one) };
  const ref = { name: migrate.metadata.name, uid: migrate.metadata.uid, volume: 'data' };
  await reportPhase({ kube, stores, events, now: () => new Date(0), scheduledAt: () => 0 })({
    ref,
    phase: 'AwaitingDetach',
    message: 'waits',
    event,
  });
  return told.filter(({ regarding }) => regarding.kind === 'Pod').map(({ regarding }) => regarding.name);
}

describe('an Event of a migration', () => {
  const pods = [pod('holds', 'n1'), pod('elsewhere', 'n2'), pod('pending'), pod('ended', 'n1', 'Succeeded')];

  test('that it waits for the users of the volume reaches the pods that hold it', async () => {
    expect(await podsTold('WaitingForDetach', pods)).toEqual(['holds', 'pending']);
  });

  test('of any other kind reaches the pods that wait for the volume', async () => {
    expect(await podsTold('SyncStarted', pods)).toEqual(['pending']);
  });
});

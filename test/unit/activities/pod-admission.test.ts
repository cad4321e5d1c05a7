import { describe, expect, test } from 'vitest';
import { judgePod } from '../../../activities/cluster/pod-admission.ts';
import type { ClusterStores } from '../../../activities/cluster/stores.ts';
import { Annotation, Label } from '../../../core/contracts/names.ts';
import type { KubeClient } from '../../../system/kube/client.ts';
import { storeOf } from '../stores.ts';

const claim = {
  metadata: { namespace: 'default', name: 'data-db-0', annotations: {} as Record<string, string> },
  spec: { volumeName: 'pv' },
};
const marked = {
  ...claim,
  metadata: { ...claim.metadata, annotations: { [Annotation.evictionMark('gone')]: JSON.stringify({ pod: 'db-0', node: 'n1' }) } },
};
const persistentVolume = {
  metadata: { name: 'pv' },
  spec: { csi: { driver: 'lvm.hwameistor.io', volumeHandle: 'data' }, nodeAffinity: {} },
};
const free = { ...persistentVolume, spec: { csi: persistentVolume.spec.csi } };
const localVolume = { metadata: { name: 'data' }, spec: { config: { replicas: [{ hostname: 'n1' }] } } };
const asked = { metadata: { name: 'move', creationTimestamp: '' }, spec: { volumeName: 'data', sourceNode: 'n1', abort: false } };
const begun = {
  ...asked,
  metadata: { ...asked.metadata, labels: { [Label.trigger]: 'pod-eviction' } },
  status: { phase: 'Syncing', target: { node: 'n2' } },
};

/** Whether a pod of the claim waits. */
async function waits(
  isActive: boolean,
  world: { readonly claim?: object; readonly migrates?: readonly object[]; readonly persistentVolume?: typeof free },
): Promise<boolean> {
  const objects: Record<string, unknown> = { persistentvolumeclaims: world.claim ?? claim, localvolumes: localVolume };
  const kube = {
    find: async ({ plural }: { readonly plural: string }) => objects[plural],
    list: async ({ plural }: { readonly plural: string }) => (plural === 'localvolumemigrates' ? [...(world.migrates ?? [])] : []),
  };
  const empty = storeOf();
  const stores = {
    persistentVolumes: storeOf(world.persistentVolume ?? persistentVolume),
    localVolumeReplicas: empty,
    localStorageNodes: empty,
    localVolumes: empty,
  };
  const deps = { kube: kube as unknown as KubeClient, stores: stores as unknown as ClusterStores, whyStays: () => undefined };
  const { waitsFor } = await judgePod({ ...deps, isActive: () => isActive }, 'default', ['data-db-0']);
  return waitsFor.length > 0;
}

describe('a pod waits, beside a live HwameiStor only where that was begun, for its volume', () => {
  test.each<[string, Parameters<typeof waits>[1], boolean]>([
    ['that an eviction is to move', { claim: marked }, false],
    ['that somebody has asked for', { migrates: [asked] }, false],
    ['that any node may use and that has no replica which is up to date', { persistentVolume: free }, false],
    ['whose move is under way', { claim: marked, migrates: [begun] }, true],
  ])('%s', async (_, world, besideHwameistor) => {
    expect(await waits(true, world)).toBe(true);
    expect(await waits(false, world)).toBe(besideHwameistor);
  });
});

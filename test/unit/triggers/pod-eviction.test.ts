import { expect, test, vi } from 'vitest';
import type { ClusterStores } from '../../../activities/cluster/stores.ts';
import { PodEvictionTrigger } from '../../../triggers/pod-eviction.ts';
import { storeOf } from '../stores.ts';

const claim = (name: string, annotations = {}) => ({
  metadata: { namespace: 'a', name, annotations },
  spec: { volumeName: `pv-${name}` },
});
const persistentVolume = (name: string) => ({
  metadata: { name: `pv-${name}` },
  spec: { csi: { driver: 'lvm.hwameistor.io', volumeHandle: name } },
});

test('of a pod that has gone while its claims were marked the eviction hears of all of them, so that none moves alone', async () => {
  const mark = JSON.stringify({ pod: 'db-0', node: 'n1', claims: ['data', 'log'] });
  const stores = {
    pods: storeOf(),
    localVolumes: storeOf(),
    persistentVolumes: storeOf(persistentVolume('data'), persistentVolume('log')),
    persistentVolumeClaims: storeOf(claim('data', { 'rehome.io/evict-u1': mark }), claim('log')),
  } as unknown as ClusterStores;
  const evictPod = vi.fn(async () => undefined);
  const mergePatch = vi.fn();
  const silent = () => undefined;
  const trigger = new PodEvictionTrigger({
    kube: { find: async () => undefined, mergePatch },
    stores,
    changes: { subscribe: () => silent },
    signals: { evictPod, isEvictingPod: async () => false, lookAgain: async () => true },
    prepareTemporal: async () => undefined,
    logger: { info: silent, warn: silent },
  } as unknown as ConstructorParameters<typeof PodEvictionTrigger>[0]);
  trigger.start();
  await vi.waitFor(() => expect(evictPod).toHaveBeenCalledWith(expect.objectContaining({ claims: ['data', 'log'] })));
  await trigger.stop();
  // Whoever took a mark off meant it.
  expect(mergePatch).not.toHaveBeenCalled();
});

import { describe, expect, test } from 'vitest';
import type { ClusterStores } from '../../../activities/cluster/stores.ts';
import type { LocalStorageNode, LocalVolumeMigrate, Pool, ThinPool } from '../../../core/contracts/objects/index.ts';
import { concernedBy } from '../../../triggers/concerned-migrations.ts';

const thinPool: ThinPool = {
  name: 'tp',
  size: 1000,
  metadataSize: 4,
  metadataPercent: '1.00',
  dataPercent: '50.00',
  totalProvisionedSize: 800,
  currentProvisionRatio: '0.80',
};

const node = (thinPools: readonly ThinPool[]): LocalStorageNode => ({
  apiVersion: 'hwameistor.io/v1alpha1',
  kind: 'LocalStorageNode',
  metadata: { name: 'n2', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { hostname: 'n2', storageIP: '10.0.0.2' },
  status: {
    state: 'Ready',
    pools: { hdd: { freeCapacityBytes: 0, freeVolumeCount: 9, otherThinPools: [...thinPools] } as unknown as Pool },
  },
});

const waiting = { spec: { sourceNode: 'n1' }, status: { phase: 'Reserving' } } as LocalVolumeMigrate;

const told = (now: readonly ThinPool[], before: readonly ThinPool[]): boolean =>
  concernedBy({} as ClusterStores).localStorageNode([waiting], 'n2', node(now), node(before)).length > 0;

describe('a migration that waits for a target', () => {
  test.each<[string, Partial<ThinPool>]>([
    ['was extended', { size: 2000 }],
    ['has less data in it', { dataPercent: '49.99' }],
    ['promises less', { totalProvisionedSize: 700 }],
  ])('looks again where a thin pool %s', (_, change) => {
    expect(told([{ ...thinPool, ...change }], [thinPool])).toBe(true);
  });

  test('looks again where a thin pool was made', () => {
    expect(told([thinPool], [])).toBe(true);
  });

  test.each<[string, readonly ThinPool[]]>([
    ['is as it was', [thinPool]],
    ['has more data in it', [{ ...thinPool, dataPercent: '60.00' }]],
    ['promises more', [{ ...thinPool, totalProvisionedSize: 900 }]],
    ['has gone', []],
  ])('is not told where a thin pool %s', (_, now) => {
    expect(told(now, [thinPool])).toBe(false);
  });
});

import { describe, expect, test } from 'vitest';
import {
  localStorageNodeSchema,
  localVolumeMigrateSchema,
  localVolumeReplicaSchema,
  localVolumeSchema,
  reservationSchema,
} from '../../../core/contracts/objects/index.ts';

const metadata = { name: 'data-0', uid: '6f1c', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' };
const object = (kind: string, spec: object, status?: object) => ({
  apiVersion: 'hwameistor.io/v1alpha1',
  kind,
  metadata,
  spec,
  ...(status && { status }),
});
const volume = (change: object) =>
  object('LocalVolume', { poolName: 'LocalStorage_PoolHDD', requiredCapacityBytes: 4_194_304, replicaNumber: 1, ...change });
const migrate = (change: object, status?: object) =>
  object('LocalVolumeMigrate', { volumeName: 'data-0', sourceNode: 'n1', ...change }, status);

/** The path of the first field that is refused; undefined where the object is accepted. */
function refusedField(
  schema: typeof localVolumeSchema | typeof localVolumeMigrateSchema | typeof localStorageNodeSchema,
  candidate: object,
) {
  return schema.safeParse(candidate).error?.issues[0]?.path.join('.');
}

describe('a LocalVolume', () => {
  test.each([
    ['of one extent and one replica is accepted', {}, undefined],
    ['smaller than one extent is refused', { requiredCapacityBytes: 4_194_303 }, 'spec.requiredCapacityBytes'],
    ['of half bytes is refused', { requiredCapacityBytes: 4_194_304.5 }, 'spec.requiredCapacityBytes'],
    ['without replicas is refused', { replicaNumber: 0 }, 'spec.replicaNumber'],
    ['with five replicas is refused', { replicaNumber: 5 }, 'spec.replicaNumber'],
    ['in a pool with a path for a name is refused', { poolName: '../vg' }, 'spec.poolName'],
    ['in a pool whose name is an option of a program is refused', { poolName: '-vg' }, 'spec.poolName'],
    ['cloned from a tape is refused', { thinOrigin: { originType: 'tape' } }, 'spec.thinOrigin.originType'],
  ])('%s', (_, change, field) => {
    expect(refusedField(localVolumeSchema, volume(change))).toBe(field);
  });
});

describe('a LocalVolumeMigrate', () => {
  test.each([
    ['of a volume from a node is accepted', migrate({}), undefined],
    ['without a source is refused', migrate({ sourceNode: undefined }), 'spec.sourceNode'],
    ['of a name that LVM keeps to itself is refused', migrate({ volumeName: 'pvmove0' }), 'spec.volumeName'],
    ['of a name that no object can have is refused', migrate({ volumeName: 'Data_0' }), 'spec.volumeName'],
    ['to a path is refused', migrate({ targetNodesSuggested: ['n2', '../n3'] }), 'spec.targetNodesSuggested.1'],
    ['to its own source is refused', migrate({ targetNodesSuggested: ['n2', 'n1'] }), 'spec'],
    [
      'to more nodes than the API server compares is refused',
      migrate({ targetNodesSuggested: Array(101).fill('n2') }),
      'spec.targetNodesSuggested',
    ],
    ['in a phase that there is not is refused', migrate({}, { phase: 'Done' }), 'status.phase'],
    ['more than complete is refused', migrate({}, { progress: { percent: 101 } }), 'status.progress.percent'],
    ['with a time that is none is refused', migrate({}, { phaseTimes: { Syncing: 'noon' } }), 'status.phaseTimes.Syncing'],
    ['with a hash that is none is refused', migrate({}, { sourceSha256: 'abc' }), 'status.sourceSha256'],
  ])('%s', (_, candidate, field) => {
    expect(refusedField(localVolumeMigrateSchema, candidate)).toBe(field);
  });

  test('keeps the whole PersistentVolume from before its rebind', () => {
    const persistentVolume = { uid: 'u', pv: { spec: { csi: { driver: 'lvm.hwameistor.io' } } } };
    expect(localVolumeMigrateSchema.parse(migrate({}, { persistentVolume })).status?.persistentVolume).toEqual(persistentVolume);
  });

  test('asks for all volumes of the group, and no abort, as HwameiStor does', () => {
    expect(localVolumeMigrateSchema.parse(migrate({})).spec).toMatchObject({
      migrateAllVols: true,
      abort: false,
      targetNodesSuggested: [],
    });
  });
});

test('a LocalVolumeReplica is not synced and not in use until its agent says so', () => {
  const spec = { volumeName: 'data-0', poolName: 'vg', nodeName: 'n1', requiredCapacityBytes: 4_194_304 };
  const replica = localVolumeReplicaSchema.parse(object('LocalVolumeReplica', spec, { state: 'Creating' }));
  expect(replica.status).toEqual({ state: 'Creating', synced: false, inuse: false });
});

test('a LocalStorageNode has an IPv4 address', () => {
  const node = (storageIP: string) => object('LocalStorageNode', { hostname: 'n1', storageIP });
  expect(refusedField(localStorageNodeSchema, node('10.0.0.1'))).toBeUndefined();
  expect(refusedField(localStorageNodeSchema, node('n1.local'))).toBe('spec.storageIP');
});

test("HwameiStor's record of a thin pool is kept whole, and names a ratio or none", () => {
  const node = (overProvisionRatio: string) => {
    const record = { nodeName: 'n1', uid: '6f1c', description: { capacity: 20, poolMetadataSize: 1, overProvisionRatio } };
    const status = { thinPoolExtendRecords: { LocalStorage_PoolHDD: [record] } };
    return object('LocalStorageNode', { hostname: 'n1', storageIP: '10.0.0.1' }, status);
  };
  expect(localStorageNodeSchema.parse(node('1.5'))).toEqual(node('1.5'));
  expect(refusedField(localStorageNodeSchema, node('much'))).toBe(
    'status.thinPoolExtendRecords.LocalStorage_PoolHDD.0.description.overProvisionRatio',
  );
});

test('a reservation names a pool, bytes and a migration, and nothing else', () => {
  const reservation = { pool: 'LocalStorage_PoolHDD', bytes: 8_388_608, id: '6f1c' };
  expect(reservationSchema.parse(reservation)).toEqual(reservation);
  expect(reservationSchema.safeParse({ ...reservation, bytes: 0 }).success).toBe(false);
  expect(reservationSchema.safeParse({ ...reservation, node: 'n1' }).success).toBe(false);
});

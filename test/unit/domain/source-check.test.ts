import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeVolumeFacts } from '../../../core/contracts/node-activities.ts';
import { checkLogicalVolume, checkObjects } from '../../../core/domain/source-check.ts';

const MiB = 2 ** 20;
const localVolume = { pool: 'hdd', requiredCapacityBytes: 10 * MiB, thin: false, convertible: false, replicaNodes: ['n1'] };
const sourceReplica = { name: 'data-abc123', allocatedCapacityBytes: 12 * MiB };
const objects = { localVolume, sourceReplica };
const logicalVolume = {
  sizeBytes: 12 * MiB,
  segmentTypes: ['linear'],
  hasSnapshots: false,
  active: true,
  open: false,
  logicalBlockSizeBytes: 512,
};
const source = { sourceNode: 'n1', migrationUid: 'this' };

function node(change: Partial<NonNullable<NodeVolumeFacts['logicalVolume']>> = {}): NodeVolumeFacts {
  return { volumeGroupFound: true, logicalVolume: { ...logicalVolume, ...change } };
}

test('a volume that is what its objects say may move', () => {
  expect(checkObjects(objects, 'n1')).toBeUndefined();
  expect(checkLogicalVolume(objects, node(), source)).toBeUndefined();
});

describe('objects that cannot be right, or are of a kind that cannot move yet', () => {
  test.each([
    ['a replica without a volume', {}, 'LocalVolumeMissing', /no LocalVolume/],
    ['a volume without a replica here', { localVolume }, 'SourceReplicaMissing', /says n1/],
    ['a thin volume', { ...objects, localVolume: { ...localVolume, thin: true } }, 'ThinNotSupported', /thin/],
    [
      'a convertible volume, which has DRBD beneath',
      { ...objects, localVolume: { ...localVolume, convertible: true } },
      'ReplicatedVolumeNotSupported',
      /n1/,
    ],
    [
      'a volume of two replicas',
      { ...objects, localVolume: { ...localVolume, replicaNodes: ['n1', 'n2'] } },
      'ReplicatedVolumeNotSupported',
      /n1, n2/,
    ],
  ])('%s', (_, given, reason, message) => {
    expect(checkObjects(given, 'n1')).toMatchObject({ reason, message: expect.stringMatching(message) });
  });
});

describe('a node that does not have what the objects say', () => {
  test.each<[string, NodeVolumeFacts, string, RegExp]>([
    ['no such volume group', { volumeGroupFound: false }, 'VolumeGroupUnknown', /n1 has no volume group hdd/],
    ['no such logical volume', { volumeGroupFound: true }, 'LogicalVolumeMissing', /hdd on n1/],
    ['another size than the replica', node({ sizeBytes: 16 * MiB }), 'LogicalVolumeSizeMismatch', /has 16777216 bytes.*says 12582912/],
    ['a snapshot', node({ hasSnapshots: true }), 'SnapshotOnVolume', /remove it/],
    ['a thin volume', node({ segmentTypes: ['thin'] }), 'ThinNotSupported', /thin/],
    ['a table of other kinds', node({ segmentTypes: ['linear', 'raid1'] }), 'TableNotSupported', /raid1/],
    ['a volume that another migration gave away', node({ cutOverBy: 'another' }), 'LogicalVolumeConflict', /another passed/],
  ])('%s', (_, found, reason, message) => {
    expect(checkLogicalVolume(objects, found, source)).toMatchObject({ reason, message: expect.stringMatching(message) });
  });

  test('less than the LocalVolume requires', () => {
    const small = { ...objects, sourceReplica: { ...sourceReplica, allocatedCapacityBytes: 4 * MiB } };
    expect(checkLogicalVolume(small, node({ sizeBytes: 4 * MiB }), source)).toMatchObject({
      reason: 'LogicalVolumeSizeMismatch',
      message: expect.stringMatching(/requires 10485760/),
    });
  });
});

test('whatever may move is linear or striped, without snapshots, and of exactly the recorded size', () => {
  const types = fc.array(fc.constantFrom('linear', 'striped', 'thin', 'thin-pool', 'raid1', 'cache'), { minLength: 1 });
  const found = fc.record({ sizeBytes: fc.constantFrom(4, 10, 12, 16), segmentTypes: types, hasSnapshots: fc.boolean() });
  fc.assert(
    fc.property(found, (change) => {
      const volume = node({ ...change, sizeBytes: change.sizeBytes * MiB });
      if (checkLogicalVolume(objects, volume, source)) return;
      expect(change).toMatchObject({ sizeBytes: 12, hasSnapshots: false });
      expect(change.segmentTypes.filter((type) => !['linear', 'striped'].includes(type))).toEqual([]);
    }),
  );
});

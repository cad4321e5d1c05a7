import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeVolumeFacts } from '../../../core/contracts/node-activities.ts';
import { checkLogicalVolume, checkObjects } from '../../../core/domain/source-check.ts';

const MiB = 2 ** 20;
const localVolume = {
  pool: 'hdd',
  requiredCapacityBytes: 10 * MiB,
  allocatedCapacityBytes: 12 * MiB,
  convertible: false,
  replicaNodes: ['n1'],
};
const sourceReplica = { name: 'data-abc123' };
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
  return { volumeGroupFound: true, extentSizeBytes: 4 * MiB, logicalVolume: { ...logicalVolume, ...change } };
}

test('a volume that is what its objects say may move', () => {
  expect(checkObjects(objects, 'n1')).toBeUndefined();
  expect(checkLogicalVolume(objects, node(), source)).toBeUndefined();
});

test.each([[['linear']], [['striped']], [['linear', 'striped']], [['thin']]])('a volume of segments %o may move', (segmentTypes) => {
  expect(checkLogicalVolume(objects, node({ segmentTypes }), source)).toBeUndefined();
});

describe('objects that cannot be right, or are of a kind that cannot move yet', () => {
  test.each([
    ['a replica without a volume', {}, 'LocalVolumeMissing', /no LocalVolume/],
    ['a volume without a replica here', { localVolume }, 'SourceReplicaMissing', /says n1/],
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

test('a volume that has lost a disk does not begin to move, but is not stopped where a mirror of it stands', () => {
  const partial = node({ partial: true });
  expect(checkLogicalVolume(objects, partial, source)).toMatchObject({
    reason: 'DiskMissing',
    message: expect.stringMatching(/bring it back/),
  });
  const mirror = { migrationUid: 'this', pairing: 1, attached: true, inserted: true };
  expect(checkLogicalVolume(objects, { ...partial, mirror }, source)).toBeUndefined();
});

describe('a node that does not have what the objects say', () => {
  test.each<[string, NodeVolumeFacts, string, RegExp]>([
    ['no such volume group', { volumeGroupFound: false }, 'VolumeGroupUnknown', /n1 has no volume group hdd/],
    ['no such logical volume', { volumeGroupFound: true }, 'LogicalVolumeMissing', /hdd on n1/],
    ['a snapshot', node({ hasSnapshots: true }), 'SnapshotOnVolume', /remove it/],
    ['copies that LVM keeps', node({ segmentTypes: ['linear', 'raid1'] }), 'TableNotSupported', /raid1.*--mirrors 0/],
    ['a mirror of LVM', node({ segmentTypes: ['mirror'] }), 'TableNotSupported', /mirror.*--mirrors 0/],
    ['a cache', node({ segmentTypes: ['cache'], origin: '[data_corig]' }), 'TableNotSupported', /type cache.*--uncache/],
    ['a cache for writes', node({ segmentTypes: ['writecache'] }), 'TableNotSupported', /--uncache/],
    ['a table of another kind', node({ segmentTypes: ['vdo'] }), 'TableNotSupported', /vdo.*make it linear/],
    ['a volume that is a snapshot itself', node({ origin: 'master' }), 'TableNotSupported', /snapshot of master/],
    [
      'a thin clone, which is a snapshot of another volume',
      node({ segmentTypes: ['thin'], origin: 'master' }),
      'TableNotSupported',
      /snapshot of master/,
    ],
    ['a volume that another migration gave away', node({ cutOverBy: 'another' }), 'LogicalVolumeConflict', /another passed/],
  ])('%s', (_, found, reason, message) => {
    expect(checkLogicalVolume(objects, found, source)).toMatchObject({ reason, message: expect.stringMatching(message) });
  });
});

describe('the size of a logical volume', () => {
  interface Sizes {
    readonly required: number;
    readonly allocated?: number;
    readonly found: number;
    readonly extent?: number;
  }
  const judge = ({ required, allocated, found, extent = 4 }: Sizes) => {
    const { allocatedCapacityBytes: _, ...rest } = localVolume;
    const made = {
      ...rest,
      requiredCapacityBytes: required * MiB,
      ...(allocated !== undefined && { allocatedCapacityBytes: allocated * MiB }),
    };
    const seen = { ...node({ sizeBytes: found * MiB }), extentSizeBytes: extent * MiB };
    return checkLogicalVolume({ localVolume: made, sourceReplica }, seen, source);
  };

  test.each<[string, Sizes]>([
    ['is what was allocated', { required: 16, allocated: 16, found: 16 }],
    ['is what was allocated, more than one extent above what is required', { required: 16, allocated: 32, found: 32 }],
    ['is what is required, where nobody has said what was allocated', { required: 16, found: 16 }],
    ['is what is required, rounded up to an extent', { required: 17, found: 20 }],
    ["is what is required, rounded up to the volume group's larger extent", { required: 16, found: 32, extent: 32 }],
    ['is rounded as HwameiStor rounds, also where extents are smaller', { required: 17, found: 20, extent: 1 }],
    ['has been expanded, and what was allocated is not written yet', { required: 32, allocated: 16, found: 32 }],
  ])('%s: it may move', (_, sizes) => {
    expect(judge(sizes)).toBeUndefined();
  });

  test.each<[string, Sizes, RegExp]>([
    ['is one extent larger', { required: 16, allocated: 16, found: 20 }, /has 20971520 bytes.*says 16777216 are allocated/],
    ['is smaller than what was allocated', { required: 16, allocated: 32, found: 16 }, /says 33554432/],
    ['is smaller than what is required', { required: 16, found: 12 }, /has 12582912 bytes.*requires 16777216/],
    ['is one extent larger than what is required', { required: 16, found: 20 }, /requires 16777216/],
    ['is not expanded yet', { required: 32, allocated: 16, found: 16 }, /requires 33554432/],
    ['was expanded to another size than is required', { required: 32, allocated: 16, found: 64 }, /requires 33554432/],
  ])('%s: it stays', (_, sizes, message) => {
    expect(judge(sizes)).toMatchObject({ reason: 'LogicalVolumeSizeMismatch', message: expect.stringMatching(message) });
  });

  test('is right where it is the allocation, or where that is of the past the requirement in whole extents, and nowhere else', () => {
    const extents = fc.integer({ min: 1, max: 16 }).map((count) => count * 4);
    const sizes = fc.record({ required: fc.integer({ min: 4, max: 64 }), allocated: extents, found: extents });
    fc.assert(
      fc.property(sizes, (given) => {
        const expected = given.allocated >= given.required ? given.allocated : Math.ceil(given.required / 4) * 4;
        expect(judge(given) === undefined).toBe(given.found === expected);
      }),
    );
  });
});

test('whatever may move is linear, striped or thin, no snapshot and without one, and of exactly the allocated size', () => {
  const types = fc.array(fc.constantFrom('linear', 'striped', 'thin', 'thin-pool', 'raid1', 'mirror', 'cache'), { minLength: 1 });
  const found = fc.record({
    sizeBytes: fc.constantFrom(4, 10, 12, 16),
    segmentTypes: types,
    hasSnapshots: fc.boolean(),
    isSnapshot: fc.boolean(),
  });
  fc.assert(
    fc.property(found, ({ isSnapshot, ...change }) => {
      const volume = node({ ...change, sizeBytes: change.sizeBytes * MiB, ...(isSnapshot && { origin: 'master' }) });
      if (checkLogicalVolume(objects, volume, source)) return;
      expect({ isSnapshot, ...change }).toMatchObject({ sizeBytes: 12, hasSnapshots: false, isSnapshot: false });
      expect(change.segmentTypes.filter((type) => !['linear', 'striped', 'thin'].includes(type))).toEqual([]);
    }),
  );
});

/**
 * Whether a volume is what its objects say, and of a kind that can be moved.
 *
 * A migration copies a logical volume bit by bit and then removes it. Where the objects and the node disagree nobody knows which of them is right,
 * so nothing is touched and a person is asked.
 */
import type { VolumeFacts } from '../contracts/cluster-activities.ts';
import type { NodeVolumeFacts } from '../contracts/node-activities.ts';
import type { PermanentError } from '../contracts/reasons.ts';

export interface BadInput {
  readonly reason: PermanentError;
  /** What is wrong and what would mend it. */
  readonly message: string;
}

type Objects = Pick<VolumeFacts, 'localVolume' | 'sourceReplica'>;

/**
 * Kinds of segment whose table says where the data lies and nothing else: beneath another device it means the same. A second table of another kind (RAID,
 * a mirror of LVM's, a cache) keeps a state of its own for the same disks, and spoils them.
 */
const MOVABLE_SEGMENTS = ['linear', 'striped', 'thin'];

/** HwameiStor asks LVM for multiples of this (pkg/local-storage/utils/lvm_utils.go), and LVM rounds up to the volume group's own extents. */
const HWAMEISTOR_EXTENT_BYTES = 4_194_304;

/** What the objects alone show; without a LocalVolume it is not even known which volume group to look into. */
export function checkObjects({ localVolume, sourceReplica }: Objects, sourceNode: string): BadInput | undefined {
  if (!localVolume)
    return bad(
      'LocalVolumeMissing',
      'a LocalVolumeReplica names this volume, but there is no LocalVolume: restore it or remove the replica',
    );
  if (localVolume.convertible || localVolume.replicaNodes.length > 1) {
    return bad('ReplicatedVolumeNotSupported', `a volume with DRBD replicas (${localVolume.replicaNodes.join(', ')}) cannot be moved yet`);
  }
  if (!sourceReplica)
    return bad('SourceReplicaMissing', `the LocalVolume says ${sourceNode}, but no LocalVolumeReplica of it is there: restore it`);
  return undefined;
}

/** What the node shows against the objects, for objects that passed {@link checkObjects}. */
export function checkLogicalVolume(
  objects: Objects,
  node: NodeVolumeFacts,
  { sourceNode, migrationUid }: { readonly sourceNode: string; readonly migrationUid: string },
): BadInput | undefined {
  const pool = objects.localVolume?.pool ?? '';
  if (!node.volumeGroupFound)
    return bad('VolumeGroupUnknown', `${sourceNode} has no volume group ${pool}: check the LocalVolume's poolName`);
  const found = node.logicalVolume;
  if (!found)
    return bad(
      'LogicalVolumeMissing',
      `volume group ${pool} on ${sourceNode} has no such logical volume: restore it or remove the objects`,
    );
  if (found.cutOverBy && found.cutOverBy !== migrationUid) {
    return bad(
      'LogicalVolumeConflict',
      `migration ${found.cutOverBy} passed its point of no return with this volume, but its LocalVolumeMigrate is gone: its target has the newest data`,
    );
  }
  return checkSize(found.sizeBytes, objects, node.extentSizeBytes) ?? checkTable(found) ?? checkDisks(node);
}

/** A mirror that stands may have all of it on its other end already: DRBD says so, or says at which sector it cannot read. */
function checkDisks({ logicalVolume, mirror }: NodeVolumeFacts): BadInput | undefined {
  if (!logicalVolume?.partial || mirror?.attached) return undefined;
  return bad('DiskMissing', 'a disk that the logical volume lies on is missing: bring it back, or restore the volume from a backup');
}

/**
 * Judged by the LocalVolume: what the replica says its agent reads from the logical volume itself, and would agree with any size.
 *
 * An expansion raises the requirement first and what is allocated last. So an allocation below the requirement is of the past, and the size is then
 * what HwameiStor and LVM make of the requirement.
 */
function checkSize(foundBytes: number, { localVolume }: Objects, extentSizeBytes = 0): BadInput | undefined {
  const { requiredCapacityBytes = 0, allocatedCapacityBytes = 0 } = localVolume ?? {};
  const surplusBytes = foundBytes - requiredCapacityBytes;
  const isRounded = surplusBytes >= 0 && surplusBytes < Math.max(HWAMEISTOR_EXTENT_BYTES, extentSizeBytes);
  const isUpToDate = allocatedCapacityBytes >= requiredCapacityBytes;
  if (isUpToDate ? foundBytes === allocatedCapacityBytes : isRounded) return undefined;
  const says = isUpToDate ? `says ${allocatedCapacityBytes} are allocated` : `requires ${requiredCapacityBytes}`;
  return bad(
    'LogicalVolumeSizeMismatch',
    `the logical volume has ${foundBytes} bytes, its LocalVolume ${says}: correct whichever is wrong`,
  );
}

function checkTable({ hasSnapshots, origin, segmentTypes }: NonNullable<NodeVolumeFacts['logicalVolume']>): BadInput | undefined {
  if (hasSnapshots) return bad('SnapshotOnVolume', 'the logical volume has a snapshot: remove it');
  const other = segmentTypes.find((type) => !MOVABLE_SEGMENTS.includes(type));
  if (other !== undefined) {
    const movable = `only ${MOVABLE_SEGMENTS.slice(0, -1).join(', ')} and ${MOVABLE_SEGMENTS.at(-1)} ones can be moved`;
    return bad('TableNotSupported', `the logical volume has segments of type ${other}, ${movable}: ${remedyFor(other)}`);
  }
  if (origin === undefined) return undefined;
  return bad(
    'TableNotSupported',
    `the logical volume is a snapshot of ${origin}, which would not come along: copy it to a volume of its own`,
  );
}

function remedyFor(segmentType: string): string {
  if (segmentType.includes('cache')) return 'take the cache off with lvconvert --uncache';
  if (/^(raid|mirror)/.test(segmentType))
    return 'leave it one copy with lvconvert --mirrors 0, or make it linear with lvconvert --type linear';
  return 'make it linear with lvconvert';
}

const bad = (reason: PermanentError, message: string): BadInput => ({ reason, message });

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

/** Kinds of device-mapper target that a mirror may be put beneath; thin ones have a reason of their own. */
const MOVABLE_SEGMENTS = ['linear', 'striped'];

/** HwameiStor asks LVM for multiples of this (pkg/local-storage/utils/lvm_utils.go), and LVM rounds up to the volume group's own extents. */
const HWAMEISTOR_EXTENT_BYTES = 4_194_304;

/** What the objects alone show; without a LocalVolume it is not even known which volume group to look into. */
export function checkObjects({ localVolume, sourceReplica }: Objects, sourceNode: string): BadInput | undefined {
  if (!localVolume)
    return bad(
      'LocalVolumeMissing',
      'a LocalVolumeReplica names this volume, but there is no LocalVolume: restore it or remove the replica',
    );
  if (localVolume.thin) return bad('ThinNotSupported', 'thin volumes cannot be moved yet');
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
  return checkSize(found.sizeBytes, objects, node.extentSizeBytes) ?? checkTable(found);
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

function checkTable({ hasSnapshots, segmentTypes }: NonNullable<NodeVolumeFacts['logicalVolume']>): BadInput | undefined {
  if (hasSnapshots) return bad('SnapshotOnVolume', 'the logical volume has a snapshot: remove it');
  if (segmentTypes.some((type) => type.startsWith('thin'))) return bad('ThinNotSupported', 'thin volumes cannot be moved yet');
  const others = segmentTypes.filter((type) => !MOVABLE_SEGMENTS.includes(type));
  if (others.length > 0)
    return bad(
      'TableNotSupported',
      `the logical volume has segments of type ${others.join(', ')}: only ${MOVABLE_SEGMENTS.join(' and ')} can be moved`,
    );
  return undefined;
}

const bad = (reason: PermanentError, message: string): BadInput => ({ reason, message });

/**
 * What an agent says of its node: the pools of its LocalStorageNode and the status of each of its LocalVolumeReplicas, from one look at LVM and
 * DRBD. Pure: the same facts give the same report, in the same order, so that an unchanged node is not written again.
 */
import { Tag } from '../contracts/names.ts';
import type {
  LocalStorageNodeStatus,
  LocalVolumeReplica,
  LocalVolumeReplicaStatus,
  Pool,
  PoolClass,
  PoolDisk,
  ThinPool,
} from '../contracts/objects/index.ts';

export interface StorageFacts {
  readonly volumeGroups: readonly { readonly name: string; readonly sizeBytes: number; readonly freeBytes: number }[];
  readonly physicalVolumes: readonly PhysicalVolumeFacts[];
  /** Those a person sees in `lvs`, without thin pools. */
  readonly logicalVolumes: readonly LogicalVolumeFacts[];
  readonly thinPools: readonly ThinPoolFacts[];
  /** DRBD's resources. A replicated volume's has the volume's name; mirrors' have other names. */
  readonly replicatedVolumes: readonly { readonly resource: string; readonly role: string; readonly disk: string }[];
}

export interface PhysicalVolumeFacts {
  readonly device: string;
  readonly volumeGroup: string;
  readonly sizeBytes: number;
  readonly missing: boolean;
}

export interface LogicalVolumeFacts {
  readonly volumeGroup: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  readonly active: boolean;
  readonly open: boolean;
  /** Name of the thin pool it lives in; '' for a thick one. */
  readonly thinPool: string;
  /** Physical volumes it lies on; none for a thin one. */
  readonly devices: readonly string[];
}

export interface ThinPoolFacts {
  readonly volumeGroup: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly metadataSizeBytes: number;
  readonly dataPercent: number;
  readonly metadataPercent: number;
}

export interface NodeReportOptions {
  /** Volume groups that are pools. undefined: all whose name begins as HwameiStor's pools do. */
  readonly pools?: readonly string[] | undefined;
  /** RFC 3339; the time of a thin pool's condition that changes now. */
  readonly now: string;
}

/** HwameiStor's names (pkg/apis/hwameistor/v1alpha1/types.go): a pool is a volume group of this name and its class. */
const POOL_PREFIX = 'LocalStorage_Pool';
const THIN_POOL = 'LocalStorage_ThinPool';
/** HwameiStor's LVMVolumeMaxCount. */
const MAXIMUM_VOLUMES = 1000;
/** From here HwameiStor calls a thin pool's data or metadata usage pretty high. */
const THIN_POOL_WARNING_PERCENT = 80;

/**
 * The status of the node's LocalStorageNode, but for its conditions, which are the controller's.
 *
 * A volume that a migration makes here is not one of the pool's volumes until it is cut over: it stands in `arriving` with its metadata volume.
 * How reservations are counted with it: `reserved-space.ts`.
 */
export function reportStorageNode(
  facts: StorageFacts,
  previous: LocalStorageNodeStatus | undefined,
  { pools, now }: NodeReportOptions,
): Pick<LocalStorageNodeStatus, 'state' | 'pools'> {
  const reported = facts.volumeGroups
    .filter(({ name }) => pools?.includes(name) ?? name.startsWith(POOL_PREFIX))
    .map((group) => [group.name, reportPool(group, facts, previous?.pools?.[group.name], now)] as const);
  // Maintain is a person's word. Offline was said while this agent was silent.
  return { state: previous?.state === 'Maintain' ? 'Maintain' : 'Ready', pools: Object.fromEntries(reported) };
}

function reportPool(group: StorageFacts['volumeGroups'][number], facts: StorageFacts, previous: Pool | undefined, now: string): Pool {
  const logicalVolumes = facts.logicalVolumes.filter(({ volumeGroup }) => volumeGroup === group.name);
  const volumes = logicalVolumes.filter((volume) => !isArriving(volume) && !isMetadataVolume(volume)).map(({ name }) => name);
  const arriving = arrivingVolumes(logicalVolumes);
  const thinPool = facts.thinPools.find(({ volumeGroup, name }) => volumeGroup === group.name && name === THIN_POOL);
  return {
    name: group.name,
    class: poolClass(group.name),
    type: 'REGULAR',
    path: `/dev/${group.name}`,
    totalCapacityBytes: group.sizeBytes,
    usedCapacityBytes: group.sizeBytes - group.freeBytes,
    freeCapacityBytes: group.freeBytes,
    volumeCapacityBytesLimit: group.sizeBytes,
    totalVolumeCount: MAXIMUM_VOLUMES,
    usedVolumeCount: volumes.length,
    freeVolumeCount: Math.max(0, MAXIMUM_VOLUMES - volumes.length),
    disks: reportDisks(group.name, facts.physicalVolumes),
    volumes: volumes.toSorted(),
    ...(arriving.length > 0 && { arriving }),
    ...(thinPool && { thinPool: reportThinPool(thinPool, logicalVolumes, previous?.thinPool, now) }),
  };
}

/** Of a volume group that bears another name HwameiStor's slowest class is said. */
function poolClass(volumeGroup: string): PoolClass {
  const named = (['NVMe', 'SSD'] as const).find((poolClass) => volumeGroup === POOL_PREFIX + poolClass);
  return named ?? 'HDD';
}

function reportDisks(volumeGroup: string, physicalVolumes: readonly PhysicalVolumeFacts[]): PoolDisk[] {
  return physicalVolumes
    .filter((physicalVolume) => physicalVolume.volumeGroup === volumeGroup)
    .map(({ device, sizeBytes, missing }) => ({
      devPath: device,
      type: poolClass(volumeGroup),
      capacityBytes: sizeBytes,
      state: missing ? ('Offline' as const) : ('InUse' as const),
    }))
    .toSorted((a, b) => (a.devPath < b.devPath ? -1 : 1));
}

/** The volume a metadata volume serves stands in its tag, the target's and the source's alike; only what comes here was reserved here. */
function arrivingVolumes(logicalVolumes: readonly LogicalVolumeFacts[]): { volume: string; bytes: number }[] {
  const settled = new Set(logicalVolumes.filter((volume) => !isArriving(volume)).map(({ name }) => name));
  const bytes = new Map<string, number>();
  for (const logicalVolume of logicalVolumes) {
    const volume = isMetadataVolume(logicalVolume) ? tagValue(logicalVolume, Tag.volume)! : logicalVolume.name;
    if (!settled.has(volume)) bytes.set(volume, (bytes.get(volume) ?? 0) + logicalVolume.sizeBytes);
  }
  return Array.from(bytes, ([volume, sum]) => ({ volume, bytes: sum })).toSorted((a, b) => (a.volume < b.volume ? -1 : 1));
}

const isMetadataVolume = (volume: LogicalVolumeFacts): boolean => tagValue(volume, Tag.volume) !== undefined;

/** Made here by a migration, and not its result yet: what is in it may be half a copy. */
function isArriving(volume: LogicalVolumeFacts): boolean {
  return !isMetadataVolume(volume) && tagValue(volume, Tag.migration) !== undefined && tagValue(volume, Tag.cutOver) === undefined;
}

function tagValue({ tags }: LogicalVolumeFacts, key: string): string | undefined {
  return tags.find((tag) => tag.startsWith(`${key}=`))?.slice(key.length + 1);
}

function reportThinPool(
  pool: ThinPoolFacts,
  logicalVolumes: readonly LogicalVolumeFacts[],
  previous: ThinPool | undefined,
  now: string,
): ThinPool {
  const thinVolumes = logicalVolumes.filter(({ thinPool }) => thinPool === pool.name);
  const provisioned = thinVolumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const high = [
    ...(pool.dataPercent >= THIN_POOL_WARNING_PERCENT ? ['data'] : []),
    ...(pool.metadataPercent >= THIN_POOL_WARNING_PERCENT ? ['metadata'] : []),
  ];
  const reason = high.length > 0 ? 'PoolStateWarning' : 'PoolStateNormal';
  const since = previous?.state?.reason === reason ? previous.state.lastTransitionTime : undefined;
  return {
    name: pool.name,
    size: pool.sizeBytes,
    metadataSize: pool.metadataSizeBytes,
    metadataPercent: pool.metadataPercent.toFixed(2),
    dataPercent: pool.dataPercent.toFixed(2),
    totalProvisionedSize: provisioned,
    currentProvisionRatio: (provisioned / pool.sizeBytes).toFixed(2),
    thinVolumes: thinVolumes.map(({ name }) => name).toSorted(),
    state: {
      type: 'PoolState',
      status: 'True',
      reason,
      message:
        high.length > 0
          ? `${high.join(' and ')} usage is at ${THIN_POOL_WARNING_PERCENT} % or more: extend it`
          : 'the thin pool is healthy',
      lastTransitionTime: since ?? now,
    },
  };
}

/**
 * The status of one replica, but for its conditions.
 *
 *   its logical volume is not there, inactive, on a disk that is gone, or half a copy -> NotReady
 *   a replicated one whose DRBD is down (it was up before) or not UpToDate            -> NotReady, with haState
 *   else                                                                              -> Ready
 *
 * `synced` is true only where all data is there: not in the midst of a sync, unlike HwameiStor's.
 */
export function reportReplica(
  facts: StorageFacts,
  { volumeName, poolName }: Pick<LocalVolumeReplica['spec'], 'volumeName' | 'poolName'>,
  previous: LocalVolumeReplicaStatus | undefined,
): Omit<LocalVolumeReplicaStatus, 'conditions'> {
  const volume = facts.logicalVolumes.find(({ volumeGroup, name }) => volumeGroup === poolName && name === volumeName);
  if (!volume) return { state: 'NotReady', synced: false, inuse: false };

  const resource = facts.replicatedVolumes.find((candidate) => candidate.resource === volumeName);
  const replicatedPath = `/dev/${poolName}-HA/${volumeName}`;
  // HwameiStor's provisioner gives plain replicas a haState too: only the device tells.
  const wasReplicated = previous?.devPath === replicatedPath;
  const haState = resource
    ? haStateOf(resource.disk)
    : wasReplicated
      ? ({ state: 'Down', reason: 'DRBD has no such resource' } as const)
      : undefined;
  const missing = new Set(facts.physicalVolumes.filter((physicalVolume) => physicalVolume.missing).map(({ device }) => device));
  const healthy = volume.active && !volume.devices.some((device) => missing.has(device));
  const synced = !isArriving(volume) && (haState === undefined || haState.state === 'Consistent');
  const storagePath = `/dev/${poolName}/${volumeName}`;
  return {
    storagePath,
    devPath: haState ? replicatedPath : storagePath,
    disks: [...new Set(volume.devices)].toSorted(),
    allocatedCapacityBytes: volume.sizeBytes,
    state: healthy && synced ? 'Ready' : 'NotReady',
    synced,
    ...(haState && { haState }),
    // DRBD itself holds a replicated volume open.
    inuse: resource ? resource.role === 'Primary' : volume.open,
  };
}

function haStateOf(disk: string): NonNullable<LocalVolumeReplicaStatus['haState']> {
  return disk === 'UpToDate' ? { state: 'Consistent' } : { state: 'Inconsistent', reason: `the disk is ${disk}` };
}

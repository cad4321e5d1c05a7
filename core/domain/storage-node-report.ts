/**
 * What an agent says of its node: the pools of its LocalStorageNode and the status of each of its LocalVolumeReplicas, from one look at LVM and
 * DRBD. Pure: the same facts give the same report, in the same order, so that an unchanged node is not written again.
 */
import { Tag } from '../contracts/names.ts';
import type {
  Condition,
  LocalStorageNodeStatus,
  LocalVolumeReplica,
  LocalVolumeReplicaStatus,
  Pool,
  PoolClass,
  PoolDisk,
  ThinPool,
} from '../contracts/objects/index.ts';
import { allocatedAtLeast } from './thin-space.ts';

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
  /** How much of its size a thin one has taken of its pool; 0 where LVM cannot tell. */
  readonly dataPercent: number;
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
  readonly chunkSizeBytes: number;
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
/** From here HwameiStor calls the usage of a thin pool's data, metadata or promised space pretty high. */
const THIN_POOL_WARNING_PERCENT = 80;
/** As HwameiStor: no more is promised than is there, unless a ThinPoolClaim says so. */
const DEFAULT_OVER_PROVISION_RATIO = '1.0';
/** HwameiStor's VolumeReplicaConditionCheck. */
const READY_CONDITION = 'Ready';

/**
 * The status of the node's LocalStorageNode, but for its conditions, which are the controller's.
 *
 * A volume that a migration makes here is not one of the pool's volumes until it is cut over: it stands in `arriving` with its metadata volume.
 * How reservations are counted with it: `reserved-space.ts`.
 *
 * A pool whose volume group LVM no longer shows stays with its volumes, without room: its disks have gone, and to leave it out would say that nothing
 * is on the node. It goes when its volume group is back, or when a person removes it from the status.
 */
export function reportStorageNode(
  facts: StorageFacts,
  previous: LocalStorageNodeStatus | undefined,
  { pools, now }: NodeReportOptions,
): Pick<LocalStorageNodeStatus, 'state' | 'pools'> {
  const isPool = (name: string): boolean => pools?.includes(name) ?? name.startsWith(POOL_PREFIX);
  const reported = facts.volumeGroups
    .filter(({ name }) => isPool(name))
    .map((group) => [group.name, reportPool(group, facts, previous, now)] as const);
  const vanished = Object.entries(previous?.pools ?? {})
    .filter(([name, { volumes = [] }]) => isPool(name) && volumes.length > 0 && facts.volumeGroups.every((group) => group.name !== name))
    .map(([name, pool]) => [name, withoutDisks(pool)] as const);
  // Maintain is a person's word. Offline was said while this agent was silent.
  return { state: previous?.state === 'Maintain' ? 'Maintain' : 'Ready', pools: Object.fromEntries([...reported, ...vanished]) };
}

/** What arrived there does not count: a migration that lost its target begins anew elsewhere. */
function withoutDisks({ thinPool: _, otherThinPools: _a, arriving: _b, ...pool }: Pool): Pool {
  return {
    ...pool,
    usedCapacityBytes: pool.totalCapacityBytes,
    freeCapacityBytes: 0,
    freeVolumeCount: 0,
    ...(pool.disks && { disks: pool.disks.map((disk) => ({ ...disk, state: 'Offline' as const })) }),
  };
}

function reportPool(
  group: StorageFacts['volumeGroups'][number],
  facts: StorageFacts,
  previous: LocalStorageNodeStatus | undefined,
  now: string,
): Pool {
  const logicalVolumes = facts.logicalVolumes.filter(({ volumeGroup }) => volumeGroup === group.name);
  const volumes = logicalVolumes.filter((volume) => !isArriving(volume) && !isMetadataVolume(volume)).map(({ name }) => name);
  const arriving = arrivingVolumes(logicalVolumes);
  const thinPools = facts.thinPools
    .filter(({ volumeGroup }) => volumeGroup === group.name)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((thinPool) => reportThinPool(thinPool, logicalVolumes, previous, now));
  const thinPool = thinPools.find(({ name }) => name === THIN_POOL);
  const otherThinPools = thinPools.filter((candidate) => candidate !== thinPool);
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
    ...(thinPool && { thinPool }),
    ...(otherThinPools.length > 0 && { otherThinPools }),
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
function arrivingVolumes(logicalVolumes: readonly LogicalVolumeFacts[]): NonNullable<Pool['arriving']> {
  const settled = new Set(logicalVolumes.filter((volume) => !isArriving(volume)).map(({ name }) => name));
  const arriving = new Map<string, NonNullable<Pool['arriving']>[number]>();
  for (const logicalVolume of logicalVolumes) {
    const volume = isMetadataVolume(logicalVolume) ? tagValue(logicalVolume, Tag.volume)! : logicalVolume.name;
    if (settled.has(volume)) continue;
    const { sizeBytes, thinPool, dataPercent } = logicalVolume;
    const { bytes, ...thin } = arriving.get(volume) ?? { volume, bytes: 0 };
    arriving.set(
      volume,
      thinPool === '' ? { ...thin, bytes: bytes + sizeBytes } : { volume, bytes, thinBytes: allocatedAtLeast(sizeBytes, dataPercent) },
    );
  }
  return [...arriving.values()].toSorted((a, b) => (a.volume < b.volume ? -1 : 1));
}

const isMetadataVolume = (volume: LogicalVolumeFacts): boolean => tagValue(volume, Tag.volume) !== undefined;

/** Made here by a migration, and not its result yet: what is in it may be half a copy. */
function isArriving(volume: LogicalVolumeFacts): boolean {
  return !isMetadataVolume(volume) && tagValue(volume, Tag.migration) !== undefined && tagValue(volume, Tag.cutOver) === undefined;
}

function tagValue({ tags }: LogicalVolumeFacts, key: string): string | undefined {
  return tags.find((tag) => tag.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** HwameiStor's own may promise as much as a ThinPoolClaim says; of another nobody has said how much. */
function reportThinPool(
  pool: ThinPoolFacts,
  logicalVolumes: readonly LogicalVolumeFacts[],
  previous: LocalStorageNodeStatus | undefined,
  now: string,
): ThinPool {
  const thinVolumes = logicalVolumes.filter(({ thinPool }) => thinPool === pool.name);
  const provisioned = thinVolumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const overProvisionRatio = pool.name === THIN_POOL ? overProvisionRatioOf(previous, pool.volumeGroup) : undefined;
  const usedPercent = {
    data: pool.dataPercent,
    metadata: pool.metadataPercent,
    ...(overProvisionRatio !== undefined && { 'promised space': (provisioned / pool.sizeBytes / Number(overProvisionRatio)) * 100 }),
  };
  const high = Object.entries(usedPercent).flatMap(([what, percent]) => (percent >= THIN_POOL_WARNING_PERCENT ? [what] : []));
  const reason = high.length > 0 ? 'PoolStateWarning' : 'PoolStateNormal';
  const state = thinPoolBefore(previous, pool)?.state;
  const since = state?.reason === reason ? state.lastTransitionTime : undefined;
  return {
    name: pool.name,
    size: pool.sizeBytes,
    metadataSize: pool.metadataSizeBytes,
    metadataPercent: pool.metadataPercent.toFixed(2),
    dataPercent: pool.dataPercent.toFixed(2),
    totalProvisionedSize: provisioned,
    currentProvisionRatio: (provisioned / pool.sizeBytes).toFixed(2),
    ...(overProvisionRatio !== undefined && { overProvisionRatio }),
    chunkSize: pool.chunkSizeBytes,
    thinVolumes: thinVolumes.map(({ name }) => name).toSorted(),
    state: {
      type: 'PoolState',
      status: 'True',
      reason,
      message:
        high.length > 0
          ? `usage of ${high.join(' and ')} is at ${THIN_POOL_WARNING_PERCENT} % or more: extend the thin pool`
          : 'the thin pool is healthy',
      lastTransitionTime: since ?? now,
    },
  };
}

function thinPoolBefore(previous: LocalStorageNodeStatus | undefined, { volumeGroup, name }: ThinPoolFacts): ThinPool | undefined {
  const { thinPool, otherThinPools = [] } = previous?.pools?.[volumeGroup] ?? {};
  return thinPool?.name === name ? thinPool : otherThinPools.find((candidate) => candidate.name === name);
}

/** HwameiStor writes a record for every ThinPoolClaim that made or extended the pool; the latest that names a ratio holds. */
function overProvisionRatioOf(previous: LocalStorageNodeStatus | undefined, volumeGroup: string): string {
  const ratios = (previous?.thinPoolExtendRecords?.[volumeGroup] ?? []).map(({ description }) => description?.overProvisionRatio);
  return ratios.findLast((ratio) => ratio !== undefined) ?? DEFAULT_OVER_PROVISION_RATIO;
}

/**
 * The status of one replica. Of its conditions `Ready` is written, which says why it is not; others stay.
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
  { now }: Pick<NodeReportOptions, 'now'>,
): LocalVolumeReplicaStatus {
  const volume = facts.logicalVolumes.find(({ volumeGroup, name }) => volumeGroup === poolName && name === volumeName);
  if (!volume) {
    const missing = { reason: 'LogicalVolumeMissing', message: `there is no logical volume ${poolName}/${volumeName}` };
    return { state: 'NotReady', synced: false, inuse: false, conditions: withReady(missing, previous, now) };
  }

  const resource = facts.replicatedVolumes.find((candidate) => candidate.resource === volumeName);
  const replicatedPath = `/dev/${poolName}-HA/${volumeName}`;
  // Only the device tells: HwameiStor leaves a haState where it makes a replicated volume a plain one.
  const wasReplicated = previous?.devPath === replicatedPath;
  const haState = resource
    ? haStateOf(resource.disk)
    : wasReplicated
      ? ({ state: 'Down', reason: 'DRBD has no such resource' } as const)
      : undefined;
  const synced = !isArriving(volume) && (haState === undefined || haState.state === 'Consistent');
  const wrong = whyNotReady(facts, volume, haState);
  const storagePath = `/dev/${poolName}/${volumeName}`;
  return {
    storagePath,
    devPath: haState ? replicatedPath : storagePath,
    disks: [...new Set(volume.devices)].toSorted(),
    allocatedCapacityBytes: volume.sizeBytes,
    state: wrong ? 'NotReady' : 'Ready',
    synced,
    ...(haState && { haState }),
    // DRBD itself holds a replicated volume open.
    inuse: resource ? resource.role === 'Primary' : volume.open,
    conditions: withReady(wrong, previous, now),
  };
}

type Wrong = Required<Pick<Condition, 'reason' | 'message'>>;

function whyNotReady(facts: StorageFacts, volume: LogicalVolumeFacts, haState: LocalVolumeReplicaStatus['haState']): Wrong | undefined {
  const missing = facts.physicalVolumes.filter((physicalVolume) => physicalVolume.missing).map(({ device }) => device);
  if (isArriving(volume)) return { reason: 'Arriving', message: 'a migration is still copying it to this node' };
  if (volume.devices.some((device) => missing.includes(device)))
    return { reason: 'DiskMissing', message: 'a disk that the logical volume lies on is missing' };
  if (!volume.active) return { reason: 'Inactive', message: 'the logical volume is not active' };
  if (haState && haState.state !== 'Consistent') return { reason: haState.state, message: haState.reason ?? '' };
  return undefined;
}

/** `lastTransitionTime` moves with the status only. */
function withReady(wrong: Wrong | undefined, previous: LocalVolumeReplicaStatus | undefined, now: string): Condition[] {
  const status = wrong ? 'False' : 'True';
  const standing = previous?.conditions?.find(({ type }) => type === READY_CONDITION);
  const since = standing?.status === status ? standing.lastTransitionTime : undefined;
  const { reason, message } = wrong ?? { reason: READY_CONDITION, message: 'the logical volume is there, active and whole' };
  const others = (previous?.conditions ?? []).filter(({ type }) => type !== READY_CONDITION);
  return [...others, { type: READY_CONDITION, status, reason, message, lastTransitionTime: since ?? now }];
}

function haStateOf(disk: string): NonNullable<LocalVolumeReplicaStatus['haState']> {
  return disk === 'UpToDate' ? { state: 'Consistent' } : { state: 'Inconsistent', reason: `the disk is ${disk}` };
}

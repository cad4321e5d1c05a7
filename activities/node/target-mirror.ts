/** The target's end of a mirror: its logical volume with DRBD on top, waiting for the source to call. */
import type { Mirror, MirrorEndpoint, ThinVolume } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { TargetMirror } from '../../core/contracts/node-activities.ts';
import { allocatedAtMost, bytesOfCopy } from '../../core/domain/thin-space.ts';
import { limitDiscards, readDeviceSectors, readLogicalBlockSizeBytes, SECTOR_BYTES } from '../../system/block-device.ts';
import { DISCARD_LIMIT_BYTES } from '../../system/drbd/mirror-driver.ts';
import { activateLogicalVolume, createLogicalVolume, createThinVolume, VolumeGroupFullError } from '../../system/lvm/logical-volume.ts';
import { ensureAttached, ensureConnecting } from './attach-mirror.ts';
import { besideUsers } from './beside-users.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { act, lookAround, type MirrorStep, type NodeVolume, requireBeforeCutOver, requireMetadata } from './mirror-step.ts';
import { tag } from './mirror-tags.ts';
import { KEEPS_MIRROR, MAKES_MIRROR } from './permission.ts';
import { findThinPool } from './thin-volume.ts';

/** @param inUse somebody writes to the volume meanwhile. */
export function ensureTargetMirror(
  deps: NodeDependencies,
  mirror: Mirror,
  sourceEndpoint: MirrorEndpoint,
  inUse: boolean,
): Promise<TargetMirror> {
  return act(deps, mirror, { role: 'target', phases: [...MAKES_MIRROR, ...KEEPS_MIRROR] }, async (step) => {
    const found = await lookAround(step);
    requireMetadata(step, found);
    await ensureVolume(step, found, sourceEndpoint);
    await checkDevice(step, sourceEndpoint);
    const thin = isThin(found, sourceEndpoint) && (await prepareThin(step));
    const pair = await ensureAttached(step, found, sourceEndpoint.port, { path: step.names.devicePath, thin });
    await ensureConnecting(step, pair);
    if (inUse) await step.drbd.controlSync(pair, besideUsers(deps.syncSettings));
    return fullPoolOf(step, found);
  });
}

/** As it was made; before that as the source's is. */
function isThin({ logicalVolume }: NodeVolume, source: MirrorEndpoint): boolean {
  return logicalVolume ? logicalVolume.thinPool !== '' : source.thin !== undefined;
}

/** @returns false where the pool ignores discards: then what is copied there takes its whole size. */
async function prepareThin({ host, names }: MirrorStep): Promise<boolean> {
  return limitDiscards(host, await host.deviceNumber(names.devicePath), DISCARD_LIMIT_BYTES);
}

/** The target's logical volume, active. @throws LogicalVolumeConflict, PointOfNoReturnPassed, NoSuchThinPool, PoolFull, MirrorNotReady */
async function ensureVolume({ host, mirror }: MirrorStep, found: NodeVolume, { thin }: MirrorEndpoint): Promise<void> {
  const { volume, uid } = mirror.migration;
  const ours = tag(Tag.migration, uid);
  if (!found.logicalVolume) {
    requireNothingCopied(mirror, found);
    const wanted = { volumeGroup: mirror.pool, name: volume, sizeBytes: mirror.sizeBytes, tags: [ours] };
    if (thin) requireThinRoom(mirror, thin, found);
    const created = thin ? createThinVolume(host, { ...wanted, thinPool: thin.pool }) : createLogicalVolume(host, wanted);
    await created.catch(asPoolFull);
    return;
  }
  if (!found.logicalVolume.tags.includes(ours)) {
    throw failure('LogicalVolumeConflict', `logical volume ${mirror.pool}/${volume} stands on the target and is not this migration's`);
  }
  requireBeforeCutOver(found);
  if (!found.device) await activateLogicalVolume(host, found.logicalVolume);
}

/**
 * DRBD's metadata says which blocks of a volume are copied, not of which one: with it a new volume would count as the whole copy that is gone.
 * @throws MirrorNotReady
 */
function requireNothingCopied({ pool, migration }: Mirror, { metadata }: NodeVolume): void {
  if (!metadata?.tags.ready) return;
  throw failure('MirrorNotReady', `logical volume ${pool}/${migration.volume} is gone from the target, with all that was copied to it`);
}

/** Of a volume that stood before: one that was just made had room. */
function fullPoolOf({ mirror }: MirrorStep, { logicalVolume, volumes }: NodeVolume): TargetMirror {
  if (!logicalVolume?.thinPool) return {};
  const isFull = findThinPool(volumes, logicalVolume.thinPool)?.dataPercent === 100;
  return isFull ? { fullThinPool: `${mirror.pool}/${logicalVolume.thinPool}` } : {};
}

/** Once more, and by LVM itself: the volume may have been written to since room was reserved. @throws NoSuchThinPool, PoolFull */
function requireThinRoom({ pool, sizeBytes }: Mirror, thin: ThinVolume, { volumes }: NodeVolume): void {
  const thinPool = findThinPool(volumes, thin.pool);
  if (!thinPool) throw failure('NoSuchThinPool', `volume group ${pool} has no thin pool ${thin.pool}`);
  const freeBytes = thinPool.sizeBytes - allocatedAtMost(thinPool.sizeBytes, thinPool.dataPercent ?? 100);
  const neededBytes = bytesOfCopy(thin, sizeBytes, thinPool.chunkSizeBytes);
  if (neededBytes > freeBytes) {
    throw failure('PoolFull', `thin pool ${pool}/${thin.pool} has ${freeBytes} bytes left, and the volume may take ${neededBytes}`);
  }
}

function asPoolFull(error: unknown): never {
  throw error instanceof VolumeGroupFullError ? failure('PoolFull', error.message, error) : error;
}

/**
 * The same size, which extents of another size would change, and blocks no larger than the source's: software that writes in those could not write
 * here. @throws LogicalVolumeSizeMismatch, BlockSizeTooLarge
 */
async function checkDevice({ host, mirror, names }: MirrorStep, source: MirrorEndpoint): Promise<void> {
  const device = await host.deviceNumber(names.devicePath);
  const sizeBytes = (await readDeviceSectors(host, device)) * SECTOR_BYTES;
  if (sizeBytes !== mirror.sizeBytes) {
    throw failure('LogicalVolumeSizeMismatch', `the volume has ${sizeBytes} bytes on the target instead of ${mirror.sizeBytes}`);
  }
  const blockBytes = await readLogicalBlockSizeBytes(host, device);
  if (blockBytes > source.logicalBlockSizeBytes) {
    throw failure(
      'BlockSizeTooLarge',
      `the target's logical blocks have ${blockBytes} bytes, the source's ${source.logicalBlockSizeBytes}`,
    );
  }
}

/** The target's end of a mirror: its logical volume with DRBD on top, waiting for the source to call. */
import type { Mirror, MirrorEndpoint } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import { readDeviceSectors, readLogicalBlockSizeBytes, SECTOR_BYTES } from '../../system/block-device.ts';
import { activateLogicalVolume, createLogicalVolume, VolumeGroupFullError } from '../../system/lvm/logical-volume.ts';
import { ensureAttached, ensureConnecting } from './attach-mirror.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { act, lookAround, type MirrorStep, type NodeVolume, requireBeforeCutOver, requireMetadata } from './mirror-step.ts';
import { tag } from './mirror-tags.ts';
import { MAKES_MIRROR, requirePermission } from './permission.ts';

export function ensureTargetMirror(deps: NodeDependencies, mirror: Mirror, sourceEndpoint: MirrorEndpoint): Promise<MirrorEndpoint> {
  return act(deps, mirror, 'target', async (step) => {
    await requirePermission(deps, mirror, { role: 'target', ...MAKES_MIRROR });
    const found = await lookAround(step);
    requireMetadata(step, found);
    await ensureVolume(step, found);
    const logicalBlockSizeBytes = await checkDevice(step, sourceEndpoint);
    const pair = await ensureAttached(step, found, sourceEndpoint.port, step.names.devicePath);
    await ensureConnecting(step, pair);
    return { port: pair.local.port, minor: pair.minor, logicalBlockSizeBytes };
  });
}

/** The target's logical volume, active. @throws LogicalVolumeConflict, PointOfNoReturnPassed, PoolFull */
async function ensureVolume({ host, mirror }: MirrorStep, found: NodeVolume): Promise<void> {
  const { volume, uid } = mirror.migration;
  const ours = tag(Tag.migration, uid);
  if (!found.logicalVolume) {
    const wanted = { volumeGroup: mirror.pool, name: volume, sizeBytes: mirror.sizeBytes, tags: [ours] };
    await createLogicalVolume(host, wanted).catch(asPoolFull);
    return;
  }
  if (!found.logicalVolume.tags.includes(ours)) {
    throw failure('LogicalVolumeConflict', `logical volume ${mirror.pool}/${volume} stands on the target and is not this migration's`);
  }
  requireBeforeCutOver(found);
  if (!found.device) await activateLogicalVolume(host, found.logicalVolume);
}

function asPoolFull(error: unknown): never {
  throw error instanceof VolumeGroupFullError ? failure('PoolFull', error.message, error) : error;
}

/**
 * The same size, which extents of another size would change, and blocks no larger than the source's: software that writes in those could not write
 * here. @returns the logical block size in bytes. @throws LogicalVolumeSizeMismatch, BlockSizeTooLarge
 */
async function checkDevice({ host, mirror, names }: MirrorStep, source: MirrorEndpoint): Promise<number> {
  const device = await host.deviceNumber(names.devicePath);
  const sizeBytes = (await readDeviceSectors(host, device)) * SECTOR_BYTES;
  if (sizeBytes !== mirror.sizeBytes) {
    throw failure('LogicalVolumeSizeMismatch', `the volume has ${sizeBytes} bytes on the target instead of ${mirror.sizeBytes}`);
  }
  const blockBytes = await readLogicalBlockSizeBytes(host, device);
  if (blockBytes <= source.logicalBlockSizeBytes) return blockBytes;
  throw failure('BlockSizeTooLarge', `the target's logical blocks have ${blockBytes} bytes, the source's ${source.logicalBlockSizeBytes}`);
}

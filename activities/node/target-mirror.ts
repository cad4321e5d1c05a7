/** The target's end of a mirror: its logical volume with DRBD on top, waiting for the source to call. */
import type { Mirror, MirrorEndpoint } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import { readLogicalBlockSizeBytes } from '../../system/block-device.ts';
import { activateLogicalVolume, createLogicalVolume } from '../../system/lvm/logical-volume.ts';
import { asPoolFull } from './allocate-endpoint.ts';
import { ensureAttached, ensureConnecting, prepareMetadata } from './attach-mirror.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { act, lookAround, type MirrorStep, type NodeVolume, requireBeforeCutOver, requireMetadata } from './mirror-step.ts';
import { tag } from './mirror-tags.ts';

export function ensureTargetMirror(deps: NodeDependencies, mirror: Mirror, sourceEndpoint: MirrorEndpoint): Promise<MirrorEndpoint> {
  return act(deps, mirror, 'target', async (step) => {
    const found = await lookAround(step);
    requireMetadata(step, found);
    const standing = await ensureVolume(step, found);
    const logicalBlockSizeBytes = await checkBlockSize(step, standing, sourceEndpoint);
    const pair = await prepareMetadata(step, standing, sourceEndpoint.port);
    await ensureAttached(step, standing, pair, step.names.devicePath);
    await ensureConnecting(step, pair);
    return { port: pair.local.port, minor: pair.minor, logicalBlockSizeBytes };
  });
}

/** The target's logical volume, active. @throws LogicalVolumeConflict, LogicalVolumeSizeMismatch, PoolFull */
async function ensureVolume(step: MirrorStep, found: NodeVolume): Promise<NodeVolume> {
  const { host, mirror } = step;
  const { volume, uid } = mirror.migration;
  let standing = found;
  if (!standing.logicalVolume) {
    const wanted = { volumeGroup: mirror.pool, name: volume, sizeBytes: mirror.sizeBytes, tags: [tag(Tag.migration, uid)] };
    await createLogicalVolume(host, wanted).catch(asPoolFull);
    standing = await lookAround(step);
  } else if (!standing.device) {
    await activateLogicalVolume(host, standing.logicalVolume);
    standing = await lookAround(step);
  }
  const { logicalVolume } = standing;
  if (!logicalVolume?.tags.includes(tag(Tag.migration, uid))) {
    throw failure('LogicalVolumeConflict', `logical volume ${mirror.pool}/${volume} stands on the target and is not this migration's`);
  }
  requireBeforeCutOver(standing);
  if (logicalVolume.sizeBytes !== mirror.sizeBytes) {
    const message = `logical volume ${mirror.pool}/${volume} has ${logicalVolume.sizeBytes} bytes on the target instead of ${mirror.sizeBytes}`;
    throw failure('LogicalVolumeSizeMismatch', message);
  }
  return standing;
}

/** Software that writes in the source's blocks could not on a device with larger ones. @throws BlockSizeTooLarge */
async function checkBlockSize({ host, names }: MirrorStep, { device }: NodeVolume, source: MirrorEndpoint): Promise<number> {
  if (!device) throw failure('MirrorNotReady', `logical volume device ${names.device} does not appear`);
  const bytes = await readLogicalBlockSizeBytes(host, device.number);
  if (bytes <= source.logicalBlockSizeBytes) return bytes;
  throw failure('BlockSizeTooLarge', `the target's logical blocks have ${bytes} bytes, the source's ${source.logicalBlockSizeBytes}`);
}

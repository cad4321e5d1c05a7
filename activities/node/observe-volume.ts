/** What stands on this node for one volume: for a workflow that looks before it decides. */
import { Tag } from '../../core/contracts/names.ts';
import type { NodeVolumeFacts } from '../../core/contracts/node-activities.ts';
import { readLogicalBlockSizeBytes } from '../../system/block-device.ts';
import { isOpen } from '../../system/device-mapper/devices.ts';
import type { Host } from '../../system/host.ts';
import { listVolumeGroups } from '../../system/lvm/report.ts';
import type { NodeDependencies } from './dependencies.ts';
import { mirrorNames } from './mirror-names.ts';
import { isAttached, leadsThroughMirror, type NodeVolume, observeNodeVolume, openDriver, requireOwnDisk } from './mirror-step.ts';
import { tagValue } from './mirror-tags.ts';
import { thinVolumeOf } from './thin-volume.ts';

/** @throws SourceDiskLost */
export async function observeVolume(
  deps: NodeDependencies,
  { volume, pool }: { readonly volume: string; readonly pool: string },
): Promise<NodeVolumeFacts> {
  const { host } = deps;
  const step = { host, deps, drbd: await openDriver(deps), names: mirrorNames(pool, volume) };
  const found = await observeNodeVolume(step, pool, volume);
  // Whatever else stands there: nothing is to be begun anew from such a disk.
  requireOwnDisk(found);
  const extentSizeBytes = found.logicalVolume?.extentSizeBytes ?? (await readExtentSize(host, pool));
  if (extentSizeBytes === undefined) return { volumeGroupFound: false };
  const logicalVolume = await describeLogicalVolume(host, found);
  const mirror = describeMirror(found);
  return { volumeGroupFound: true, extentSizeBytes, ...(logicalVolume && { logicalVolume }), ...(mirror && { mirror }) };
}

/** @returns undefined where there is no such volume group. */
async function readExtentSize(host: Host, volumeGroup: string): Promise<number | undefined> {
  return (await listVolumeGroups(host)).find(({ name }) => name === volumeGroup)?.extentSizeBytes;
}

async function describeLogicalVolume(host: Host, found: NodeVolume): Promise<NodeVolumeFacts['logicalVolume']> {
  const { logicalVolume, volumes, device, back } = found;
  if (!logicalVolume) return undefined;
  const readable = device ?? back;
  const thin = thinVolumeOf(logicalVolume, volumes);
  const migrationUid = tagValue(logicalVolume.tags, Tag.migration);
  const cutOverBy = tagValue(logicalVolume.tags, Tag.cutOver);
  return {
    sizeBytes: logicalVolume.sizeBytes,
    segmentTypes: [...new Set(logicalVolume.segments.map(({ type }) => type))],
    hasSnapshots: found.hasSnapshots,
    ...(logicalVolume.partial && { partial: true }),
    ...(logicalVolume.origin !== '' && { origin: logicalVolume.origin }),
    ...(thin && { thin }),
    active: device !== undefined,
    open: isOpen(device),
    // An inactive volume has no device to ask; nothing is decided by its block size before it is active.
    logicalBlockSizeBytes: readable ? await readLogicalBlockSizeBytes(host, readable.number) : 0,
    ...(migrationUid !== undefined && { migrationUid }),
    ...(cutOverBy !== undefined && { cutOverBy }),
  };
}

function describeMirror({ metadata, resource, device }: NodeVolume): NodeVolumeFacts['mirror'] {
  if (!metadata) return undefined;
  return {
    migrationUid: metadata.tags.migrationUid,
    pairing: metadata.tags.pairing,
    attached: isAttached(resource),
    inserted: device !== undefined && leadsThroughMirror(device, resource?.minor),
    closed: metadata.tags.volumeAtClose !== undefined,
  };
}

/** DRBD beneath or on top of a volume: what both ends do alike before they meet. */
import { Tag } from '../../core/contracts/names.ts';
import { readDeviceSectors, SECTOR_BYTES } from '../../system/block-device.ts';
import { makeDeviceNodes } from '../../system/device-mapper/change-device.ts';
import { type MirrorPair, mirrorDeviceNumber } from '../../system/drbd/mirror-driver.ts';
import { changeLogicalVolume } from '../../system/lvm/logical-volume.ts';
import { failure } from './failure.ts';
import { isAttached, type MirrorStep, type NodeVolume, pairOf, requireMetadata, sharedSecret } from './mirror-step.ts';
import { tag, tagsOf } from './mirror-tags.ts';

/**
 * Keeps in the metadata volume's tags where the other end listens, and writes DRBD's metadata, once a pairing: metadata that was made anew on one
 * side only would be a volume that never was in sync, or two that are strangers.
 */
export async function prepareMetadata(step: MirrorStep, found: NodeVolume, peerPort: number): Promise<MirrorPair> {
  const { host, drbd, mirror, names } = step;
  const { volume, tags } = requireMetadata(step, found);
  const pair = pairOf(step, { ...tags, peerPort });
  if (tags.ready && tags.peerPort === peerPort) return pair;
  if (!tags.ready) await drbd.writeMetadata(pair.minor, names.metadataPath);
  // The other end has moved: what was said to the old one ends here, before the tag forgets it.
  else if (found.resource && tags.peerPort !== undefined) await drbd.disconnect(pairOf(step, tags));
  await changeLogicalVolume(
    host,
    { volumeGroup: mirror.pool, name: names.metadataVolume },
    { removeTags: tagsOf(volume.tags, Tag.peerPort), addTags: [tag(Tag.metadataReady, 1), tag(Tag.peerPort, peerPort)] },
  );
  return pair;
}

/** Brings DRBD's device up with its disk; whatever of it stands is left as it is. @throws MirrorNotReady where DRBD's device is shorter than the data. */
export async function ensureAttached(step: MirrorStep, { resource }: NodeVolume, pair: MirrorPair, dataPath: string): Promise<void> {
  const { host, drbd, mirror, names } = step;
  if (resource?.minor !== undefined && resource.minor !== pair.minor) {
    throw failure('MirrorNotReady', `DRBD resource ${pair.resource} has minor ${resource.minor} instead of ${pair.minor}`);
  }
  if (!isAttached(resource)) {
    await makeDeviceNodes(host);
    await drbd.applyActivityLog(pair.minor, names.metadataPath);
    if (!resource) await drbd.createResource(pair);
    if (resource?.minor === undefined) await drbd.createMinor(pair);
    await drbd.attach(pair, { data: dataPath, metadata: names.metadataPath });
  }
  // Metadata that is too small is no error to DRBD: it cuts the device off.
  const sizeBytes = (await readDeviceSectors(host, mirrorDeviceNumber(pair.minor))) * SECTOR_BYTES;
  if (sizeBytes !== mirror.sizeBytes)
    throw failure('MirrorNotReady', `DRBD's device has ${sizeBytes} bytes instead of ${mirror.sizeBytes}`);
}

/** Listens and calls, where this end does not yet, or has given up: a stranger at the port is enough for that. */
export async function ensureConnecting(step: MirrorStep, pair: MirrorPair): Promise<void> {
  const state = await step.drbd.observeMinor(pair.minor);
  if (state?.connection === 'StandAlone') await step.drbd.connect(pair, await sharedSecret(step));
}

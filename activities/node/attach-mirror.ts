/** DRBD beneath or on top of a volume: what both ends do alike before they meet. */
import { Tag } from '../../core/contracts/names.ts';
import { readDeviceSectors, SECTOR_BYTES } from '../../system/block-device.ts';
import { metadataSizeBytes } from '../../system/drbd/metadata-size.ts';
import { type MirrorPair, mirrorDeviceNumber } from '../../system/drbd/mirror-driver.ts';
import { failure } from './failure.ts';
import { changeMetadata, openMetadata } from './metadata-volume.ts';
import { isAttached, type MirrorStep, type NodeVolume, pairOf, requireMetadata, sharedSecret } from './mirror-step.ts';
import { tag, tagsOf } from './mirror-tags.ts';

/**
 * Brings DRBD's device up with its disk; whatever of it stands is left as it is. @param peerPort where the other end listens.
 * @throws MirrorNotReady where DRBD's device is shorter than the data, PoolFull where there is no room for metadata.
 */
export async function ensureAttached(
  step: MirrorStep,
  found: NodeVolume,
  peerPort: number,
  data: { readonly path: string; readonly thin: boolean },
): Promise<MirrorPair> {
  const { host, drbd, mirror } = step;
  const { resource } = found;
  const metadata = requireMetadata(step, found);
  const { tags } = metadata;
  const pair = pairOf(step, { ...tags, peerPort });
  if (resource?.minor !== undefined && resource.minor !== pair.minor) {
    throw failure('MirrorNotReady', `DRBD resource ${pair.resource} has minor ${resource.minor} instead of ${pair.minor}`);
  }
  if (!tags.ready || tags.peerPort !== peerPort) await prepareMetadata(step, found, pair);
  if (!isAttached(resource)) {
    const metadataPath = await openMetadata(step, metadata, metadataSizeBytes(mirror.sizeBytes));
    if (tags.ready) await drbd.applyActivityLog(pair.minor, metadataPath);
    if (!resource) await drbd.createResource(pair);
    if (resource?.minor === undefined) await drbd.createMinor(pair);
    await drbd.attach(pair, { data: data.path, metadata: metadataPath, thin: data.thin });
  }
  // Metadata that is too small is no error to DRBD: it cuts the device off.
  const sizeBytes = (await readDeviceSectors(host, mirrorDeviceNumber(pair.minor))) * SECTOR_BYTES;
  if (sizeBytes !== mirror.sizeBytes)
    throw failure('MirrorNotReady', `DRBD's device has ${sizeBytes} bytes instead of ${mirror.sizeBytes}`);
  return pair;
}

/**
 * Writes DRBD's metadata, once a pairing: metadata that was made anew on one side only would be a volume that never was in sync, or two that are
 * strangers. Keeps in the tags that it is written, and where the other end listens.
 */
async function prepareMetadata(step: MirrorStep, found: NodeVolume, pair: MirrorPair): Promise<void> {
  const { drbd, mirror } = step;
  const metadata = requireMetadata(step, found);
  const { tags, allTags } = metadata;
  if (!tags.ready) await drbd.writeMetadata(pair.minor, await openMetadata(step, metadata, metadataSizeBytes(mirror.sizeBytes)));
  // The other end has moved: what was said to the old one ends here, before the tag forgets it.
  else if (found.resource && tags.peerPort !== undefined) await drbd.disconnect(pairOf(step, tags));
  await changeMetadata(step, metadata, {
    removeTags: tagsOf(allTags, Tag.peerPort),
    addTags: [tag(Tag.metadataReady, 1), tag(Tag.peerPort, pair.peer.port)],
  });
}

/**
 * Listens and calls, where this end does not yet, or has given up: a stranger at the port is enough for that.
 * @param options.paused the sync that follows is to wait.
 */
export async function ensureConnecting(step: MirrorStep, pair: MirrorPair, { paused = false } = {}): Promise<void> {
  const state = await step.drbd.observeMinor(pair.minor);
  if (state?.connection === 'StandAlone') await step.drbd.connect(pair, await sharedSecret(step), { paused });
}

/** The source before it is given up: what its counters say, and the removal of its device, after which nobody can write. */
import type { Mirror } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { DetachFacts } from '../../core/contracts/node-activities.ts';
import { judgeDetach, mayClose } from '../../core/domain/detach.ts';
import { readBlockStatistics } from '../../system/block-device.ts';
import { DeviceInUseError, removeDevice } from '../../system/device-mapper/change-device.ts';
import { isOpen } from '../../system/device-mapper/devices.ts';
import { mirrorDeviceNumber } from '../../system/drbd/mirror-driver.ts';
import { isInSync } from './await-sync.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { settleDevice } from './insertion.ts';
import { changeMetadata } from './metadata-volume.ts';
import { act, leadsThroughMirror, lookAround, type MirrorStep, type NodeVolume, requireMetadata } from './mirror-step.ts';
import { tagsOf, volumeAtCloseTag } from './mirror-tags.ts';

export function closeSource(deps: NodeDependencies, mirror: Mirror): Promise<DetachFacts> {
  return act(deps, mirror, { role: 'source', phases: ['CuttingOver'], pointOfNoReturn: false }, async (step) => {
    const found = await settleDevice(step, await lookAround(step));
    const facts = await detachFacts(step, found);
    if (!found.device || !mayClose(judgeDetach(facts))) return facts;
    await keepCounters(step, found, facts);
    await removeDevice(step.host, found.device.name).catch(asVolumeInUse);
    return facts;
  });
}

/** The device's counters go with the device; a repeat of the step after a crash must still be able to answer. */
async function keepCounters(step: MirrorStep, found: NodeVolume, { volume }: DetachFacts): Promise<void> {
  const metadata = requireMetadata(step, found);
  const [outdated, current] = [tagsOf(metadata.allTags, Tag.volumeAtClose), volumeAtCloseTag(volume)];
  if (outdated.length === 1 && outdated[0] === current) return;
  await changeMetadata(step, metadata, { removeTags: outdated, addTags: [current] });
}

/** @throws MirrorNotReady where there is no mirror that was inserted, or the volume lost its device to somebody else. */
async function detachFacts(step: MirrorStep, found: NodeVolume): Promise<DetachFacts> {
  const { device, resource } = found;
  const { tags } = requireMetadata(step, found);
  if (!resource?.state || !tags.writeBase)
    throw failure('MirrorNotReady', `the volume ${step.mirror.migration.volume} has no mirror in place`);
  const volume = device ? await readBlockStatistics(step.host, device.number) : tags.volumeAtClose;
  if (!volume) throw failure('MirrorNotReady', `the device ${step.names.device} was removed by somebody else, with its write counters`);
  return {
    inserted: !device || leadsThroughMirror(device, resource.minor),
    open: isOpen(device),
    connectedUpToDate: isInSync({ ...resource.state, outOfSyncKib: 0 }),
    outOfSyncBytes: resource.state.outOfSyncKib * 1024,
    volume,
    mirror: await readBlockStatistics(step.host, mirrorDeviceNumber(tags.minor)),
    base: tags.writeBase,
  };
}

export function asVolumeInUse(error: unknown): never {
  throw error instanceof DeviceInUseError ? failure('VolumeInUse', error.message, error) : error;
}

/** From the point of no return on: the mark, the end of the mirror, the end of the source. From here a migration only goes forward. */
import type { Mirror } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import { readBlockStatistics } from '../../system/block-device.ts';
import { removeDevice } from '../../system/device-mapper/change-device.ts';
import { isOpen, listMappedDevices } from '../../system/device-mapper/devices.ts';
import type { MirrorState } from '../../system/drbd/mirror-driver.ts';
import { activateLogicalVolume, changeLogicalVolume, removeLogicalVolume } from '../../system/lvm/logical-volume.ts';
import { listLogicalVolumes } from '../../system/lvm/report.ts';
import { describe, isInSync } from './await-sync.ts';
import type { NodeDependencies } from './dependencies.ts';
import { asVolumeInUse } from './detach.ts';
import { failure } from './failure.ts';
import { settleDevice } from './insertion.ts';
import { removeMetadata } from './metadata-volume.ts';
import { act, cutOverBy, lookAround, type MirrorStep, type NodeVolume } from './mirror-step.ts';
import { tag } from './mirror-tags.ts';

/**
 * The source's mark is the point of no return: its node sees that the copy is whole and that nobody can write to the source any more, and from then
 * on a reboot by itself lets nobody: who activates the volume by name is found out before it goes. The target's follows once the LocalVolumeMigrate
 * says so, also where the source was restarted since: what was whole then is whole. @throws MirrorNotReady, LogicalVolumeMissing
 */
export function markCutOver(deps: NodeDependencies, mirror: Mirror, role: MirrorRole): Promise<void> {
  const toldBefore = role === 'target' && { pointOfNoReturn: true };
  return act(deps, mirror, { role, phases: ['CuttingOver'], ...toldBefore }, async (step) => {
    const found = await lookAround(step);
    const { logicalVolume, resource, device } = found;
    const { uid, volume } = mirror.migration;
    if (cutOverBy(found) === uid) return;
    if (!logicalVolume) throw failure('LogicalVolumeMissing', `logical volume ${mirror.pool}/${volume} does not exist on the ${role}`);
    const isWhole = role === 'source' ? isInSync : isComplete;
    if (!resource?.state || !isWhole(resource.state)) {
      throw failure('MirrorNotReady', `the mirror is not whole on the ${role}: ${describe(resource?.state)}`);
    }
    if (role === 'source' && device) throw failure('MirrorNotReady', `${device.name} exists: the source is not closed`);
    // The activation at boot is not to bring the source's plain device back.
    await changeLogicalVolume(step.host, logicalVolume, {
      addTags: [tag(Tag.cutOver, uid)],
      ...(role === 'source' && { autoactivation: false as const }),
    });
  });
}

/** This end's copy lacks nothing that DRBD knows of, whether or not the other end is there. */
function isComplete({ disk, outOfSyncKib }: MirrorState): boolean {
  return disk === 'UpToDate' && outOfSyncKib === 0;
}

export function dissolveMirror(deps: NodeDependencies, mirror: Mirror, role: MirrorRole): Promise<void> {
  return act(deps, mirror, { role, phases: ['CuttingOver'], pointOfNoReturn: true }, async (step) => {
    const found = await settleDevice(step, await lookAround(step));
    if (found.logicalVolume) requireCutOver(step, found);
    if (role === 'source') await dissolveSource(step, found);
    else await dissolveTarget(step, found);
    await removeMetadataVolume(step, found);
  });
}

/** The device is gone where all went well; somebody may have activated the volume since. */
async function dissolveSource(step: MirrorStep, found: NodeVolume): Promise<void> {
  const { host, drbd, names } = step;
  const { device, back, resource } = found;
  await requireUnwritten(step, found);
  if (device) await removeDevice(host, device.name).catch(asVolumeInUse);
  if (resource) await drbd.down(resource.resource);
  if (back) await removeDevice(host, names.backDevice).catch(asVolumeInUse);
}

async function dissolveTarget({ host, drbd, mirror }: MirrorStep, { logicalVolume, device, resource }: NodeVolume): Promise<void> {
  if (!logicalVolume)
    throw failure('LogicalVolumeMissing', `logical volume ${mirror.pool}/${mirror.migration.volume} does not exist on the target`);
  const disk = resource?.state?.disk;
  if (disk && disk !== 'UpToDate' && disk !== 'Diskless') throw failure('MirrorNotReady', `the target's disk is ${disk}`);
  if (resource) await drbd.down(resource.resource);
  if (!device) await activateLogicalVolume(host, logicalVolume);
}

/** Of this migration only. Last of all: its tags name what there is to take down. */
export async function removeMetadataVolume(step: MirrorStep, { metadata }: NodeVolume): Promise<void> {
  if (metadata?.tags.migrationUid === step.mirror.migration.uid) await removeMetadata(step, metadata);
}

export function removeSource(deps: NodeDependencies, mirror: Mirror): Promise<void> {
  return act(deps, mirror, { role: 'source', phases: ['RemovingSource'], pointOfNoReturn: true }, async (step) => {
    const found = await lookAround(step);
    if (!found.logicalVolume) return;
    requireCutOver(step, found);
    if (found.resource || found.back) throw failure('MirrorNotReady', 'the mirror is still up on the source');
    await requireUnwritten(step, found);
    if (isOpen(found.device)) throw failure('VolumeInUse', `${step.names.device} is open`);
    const { uuid } = found.logicalVolume;
    await removeLogicalVolume(step.host, { volumeGroup: mirror.pool, uuid, tag: tag(Tag.cutOver, mirror.migration.uid) });
  });
}

export function releaseTarget(deps: NodeDependencies, mirror: Mirror): Promise<void> {
  return act(deps, mirror, { role: 'target', phases: ['RemovingSource'], pointOfNoReturn: true }, async (step) => {
    const { uid, volume } = mirror.migration;
    const logicalVolume = (await listLogicalVolumes(step.host, mirror.pool)).find(({ name }) => name === volume);
    if (!logicalVolume) throw failure('LogicalVolumeMissing', `logical volume ${mirror.pool}/${volume} does not exist on the target`);
    // The source goes next, whatever the cache of this disk has: also by a repeat long after, when the disk may have gone.
    if (!(await listMappedDevices(step.host)).has(step.names.device)) await activateLogicalVolume(step.host, logicalVolume);
    await step.host.flush(step.names.devicePath);
    const ours = [tag(Tag.migration, uid), tag(Tag.cutOver, uid)];
    await changeLogicalVolume(step.host, logicalVolume, { removeTags: logicalVolume.tags.filter((candidate) => ours.includes(candidate)) });
  });
}

/**
 * A device that was there when the source was marked could not have been: this one is new, and every write it counts is missing on the target.
 * Whoever wants them, or wants them no more, is a person. @throws SourceWritten
 */
async function requireUnwritten({ host, mirror }: MirrorStep, { device }: NodeVolume): Promise<void> {
  if (!device) return;
  const { writtenSectors, discardedSectors } = await readBlockStatistics(host, device.number);
  if (writtenSectors + discardedSectors === 0) return;
  const { migration, pool, source, target } = mirror;
  throw failure(
    'SourceWritten',
    `${pool}/${migration.volume} was activated on ${source.node} after it had been given to ${target.node}, and has been written to there (${writtenSectors} sectors, ${discardedSectors} discarded): ${target.node} lacks that. Nothing is removed; save what is needed, deactivate it (lvchange -an) and retry`,
  );
}

/** @throws NotPermitted */
function requireCutOver({ mirror }: MirrorStep, found: NodeVolume): void {
  const { uid, volume } = mirror.migration;
  if (cutOverBy(found) !== uid) {
    throw failure('NotPermitted', `volume ${volume} does not carry the mark that migration ${uid} has passed its point of no return`);
  }
}

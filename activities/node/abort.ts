/** The way back, before the point of no return: each end as it was. Taken by an abort, and in Preparing where a target will not do. */
import type { Mirror } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import { activateLogicalVolume, removeLogicalVolume } from '../../system/lvm/logical-volume.ts';
import { removeMetadataVolume } from './cut-over.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { act, lookAround, type MirrorStep, type NodeVolume, requireBeforeCutOver } from './mirror-step.ts';
import { tag } from './mirror-tags.ts';
import { takeMirrorDown } from './take-mirror-down.ts';

const TAKING_BACK = ['Aborting', 'Preparing'] as const satisfies readonly Phase[];

/** @param deleted nobody wants the volume any more. @throws PointOfNoReturnPassed, LogicalVolumeMissing, DiskMissing, SourceDiskLost */
export function restoreSource(deps: NodeDependencies, mirror: Mirror, deleted: boolean): Promise<void> {
  return act(deps, mirror, { role: 'source', phases: TAKING_BACK, pointOfNoReturn: false }, async (step) => {
    const found = await lookAround(step);
    if (!deleted) requireVolume(step, found);
    await restoreFound(step, found);
  });
}

/** The copy is taken away next. What the source has no more, it alone may have. @throws LogicalVolumeMissing, DiskMissing */
function requireVolume({ mirror: { pool, migration, target } }: MirrorStep, { logicalVolume }: NodeVolume): void {
  const name = `${pool}/${migration.volume}`;
  const kept = `what ${target.node} has of it is kept`;
  if (!logicalVolume) throw failure('LogicalVolumeMissing', `logical volume ${name} has gone from the source: ${kept}`);
  if (logicalVolume.partial) throw failure('DiskMissing', `a disk that logical volume ${name} lies on is missing on the source: ${kept}`);
}

export function discardTarget(deps: NodeDependencies, mirror: Mirror): Promise<void> {
  return act(deps, mirror, { role: 'target', phases: TAKING_BACK, pointOfNoReturn: false }, discard);
}

/** @throws PointOfNoReturnPassed */
export async function restore(step: MirrorStep): Promise<void> {
  await restoreFound(step, await lookAround(step));
}

async function restoreFound(step: MirrorStep, found: NodeVolume): Promise<void> {
  requireBeforeCutOver(found);
  if (isOfAnother(step, found)) return;
  await takeMirrorDown(step, found);
  // It was closed for the cut-over, perhaps by a pairing whose metadata has gone since.
  if (found.logicalVolume && !found.device) await activateLogicalVolume(step.host, found.logicalVolume);
  await removeMetadataVolume(step, found);
}

/** @throws PointOfNoReturnPassed */
export async function discard(step: MirrorStep): Promise<void> {
  const { host, mirror } = step;
  const found = await lookAround(step);
  requireBeforeCutOver(found);
  if (!isOfAnother(step, found)) {
    await takeMirrorDown(step, found);
    await removeMetadataVolume(step, found);
  }
  const ours = tag(Tag.migration, mirror.migration.uid);
  if (!found.logicalVolume?.tags.includes(ours)) return;
  await removeLogicalVolume(host, { volumeGroup: mirror.pool, uuid: found.logicalVolume.uuid, tag: ours });
}

/** What stands belongs to another migration of the same volume: its abort, or the next attempt at it, is not ours to take apart. */
function isOfAnother({ mirror }: MirrorStep, { metadata }: NodeVolume): boolean {
  return metadata !== undefined && metadata.tags.migrationUid !== mirror.migration.uid;
}

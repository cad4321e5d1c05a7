/**
 * What becomes of a LocalVolumeMigrate that somebody made.
 *
 * Decided by level: from how it and the objects around it are now, so that it may be looked at any number of times. What the schema cannot know is
 * refused here, with the remedy: nothing was begun then, and the volume is as it was.
 */
import type { Stay } from '../contracts/migration.ts';
import type { RequestRefusal } from '../contracts/reasons.ts';
import { inWords } from './stay.ts';

export interface MigrateRequestFacts {
  readonly volume: string;
  readonly sourceNode: string;
  readonly migrateAllVols: boolean;
  /** Why it is wanted no longer. */
  readonly withdrawn?: string | undefined;
  /** The LocalVolumeMigrate of the same volume that runs. */
  readonly underWay?: OtherMigration | undefined;
  /** The one that it followed, which has ended. */
  readonly followed?: (OtherMigration & { readonly outcome: 'Completed' | 'Aborted'; readonly message: string }) | undefined;
  /** The source has a LocalStorageNode. */
  readonly isStorageNode: boolean;
  /** Where the volume lies; undefined: there is no such LocalVolume. */
  readonly replicaNodes: readonly string[] | undefined;
  /** The other volumes on the source that move only together with it, and that nobody moves yet. */
  readonly companions: readonly string[];
  /** Why it is not to move at all. */
  readonly stays?: Stay | undefined;
}

export interface OtherMigration {
  readonly name: string;
  readonly sourceNode: string;
}

export type MigrateRequestDecision =
  | { readonly kind: 'begin'; readonly withVolumes: readonly string[] }
  | { readonly kind: 'follow'; readonly name: string; readonly message: string }
  | { readonly kind: 'end'; readonly outcome: 'Completed' | 'Aborted'; readonly message: string; readonly reason?: RequestRefusal };

export function decideMigrateRequest(facts: MigrateRequestFacts): MigrateRequestDecision {
  const { withdrawn, underWay, followed, sourceNode } = facts;
  if (withdrawn !== undefined) return { kind: 'end', outcome: 'Aborted', message: withdrawn };
  if (underWay) {
    // One that leaves another node does nothing for this one.
    const then = underWay.sourceNode === sourceNode ? 'ends as that does' : `begins when that has left ${underWay.sourceNode}`;
    const message = `follows LocalVolumeMigrate ${underWay.name}, which moves this volume already, and ${then}`;
    return { kind: 'follow', name: underWay.name, message };
  }
  if (followed?.sourceNode === sourceNode) {
    return { kind: 'end', outcome: followed.outcome, message: `ended as LocalVolumeMigrate ${followed.name}: ${followed.message}` };
  }
  return refusalOf(facts) ?? { kind: 'begin', withVolumes: facts.companions };
}

function refusalOf(facts: MigrateRequestFacts): MigrateRequestDecision | undefined {
  const { volume, sourceNode, isStorageNode, replicaNodes, companions, migrateAllVols } = facts;
  if (!replicaNodes) return refused('LocalVolumeMissing', `there is no LocalVolume ${volume}`);
  if (!isStorageNode) return refused('StorageNodeMissing', `there is no LocalStorageNode ${sourceNode}`);
  if (!replicaNodes.includes(sourceNode)) {
    const where = replicaNodes.length === 0 ? 'on no node' : `on ${[...replicaNodes].sort().join(', ')}`;
    return refused('SourceReplicaMissing', `${volume} lies ${where}, not on ${sourceNode}`);
  }
  if (facts.stays) return refused('VolumeStays', inWords(volume, facts.stays));
  if (!migrateAllVols && companions.length > 0) {
    return refused(
      'OtherVolumesBound',
      `${volume} moves only together with ${companions.join(', ')}, which would stay on ${sourceNode}: set migrateAllVols`,
    );
  }
  return undefined;
}

function refused(reason: RequestRefusal, why: string): MigrateRequestDecision {
  return { kind: 'end', outcome: 'Aborted', reason, message: `refused: ${why}` };
}

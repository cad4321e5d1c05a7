/**
 * Where a run of a migration begins.
 *
 * Every run looks first: a run may be the first one, follow one that was terminated, or be a reset that has old signals applied to it again. What
 * has happened is read from the migration's record and from the nodes, never from a workflow's memory.
 */
import type { MigrationRecord, VolumeFacts } from '../contracts/cluster-activities.ts';
import type { NodeVolumeFacts } from '../contracts/node-activities.ts';

export type Entry =
  /** The volume is not on the source, or nobody wants it moved, and nothing was begun. */
  | 'NothingToMove'
  /** No record yet: open one. */
  | 'Open'
  | 'Pending'
  | 'Aborting'
  | 'CuttingOver'
  | 'RemovingSource';

/** By the objects alone: it does not wait for an agent. */
export function chooseEntry(record: MigrationRecord | undefined, facts: VolumeFacts, sourceNode: string): Entry {
  if (!record) return isWanted(facts, sourceNode) ? 'Open' : 'NothingToMove';
  const phase = record.phase === 'NeedsAttention' ? (record.parkedIn ?? 'Pending') : record.phase;
  if (record.pointOfNoReturn) return phase === 'RemovingSource' ? 'RemovingSource' : 'CuttingOver';
  // An abort that was begun is finished, whatever is wanted now: half of the mirror is gone.
  return phase === 'Aborting' || record.abortedByPerson ? 'Aborting' : 'Pending';
}

function isWanted(facts: VolumeFacts, sourceNode: string): boolean {
  return isOnSource(facts, sourceNode) && facts.unwanted === undefined;
}

/** As any of its objects says. */
export function isOnSource({ localVolume, sourceReplica }: VolumeFacts, sourceNode: string): boolean {
  return sourceReplica !== undefined || localVolume?.replicaNodes.includes(sourceNode) === true;
}

/** A tag on a logical volume says that this migration passed its point of no return, even if the record lost it. */
export function isCutOver(nodes: readonly (NodeVolumeFacts | undefined)[], migrationUid: string): boolean {
  return nodes.some((node) => node?.logicalVolume?.cutOverBy === migrationUid);
}

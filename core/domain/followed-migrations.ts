/** What the evictions of a node and of a pod remember alike of the migrations that they want, because the objects may tell it a moment later. */
import type { MigrationEnded } from '../contracts/migration.ts';

export interface FollowedMigrations {
  /** Volumes whose migrations were started or joined, and whose end is not known. */
  readonly following: readonly string[];
  /** Moved away by a migration that has ended. */
  readonly moved: readonly string[];
  /** A migration found nothing to do; tried again at the next change. */
  readonly idle: readonly string[];
}

export const NONE_FOLLOWED: FollowedMigrations = { following: [], moved: [], idle: [] };

/** What is remembered when a migration is to be started or joined. */
export function follow<T extends FollowedMigrations>(memory: T, volume: string): T {
  return { ...memory, following: [...memory.following, volume] };
}

/** What is remembered when that failed: the next look plans it again. */
export function unfollow<T extends FollowedMigrations>(memory: T, volume: string): T {
  return { ...memory, following: memory.following.filter((followed) => followed !== volume) };
}

/** What is remembered once a migration has ended, whatever else its end means. One that was not about this node leaves this node's own still to come. */
export function settle<T extends FollowedMigrations>(memory: T, node: string, { volume, outcome, sourceNode }: MigrationEnded): T {
  return {
    ...unfollow(memory, volume),
    ...(outcome === 'Completed' && sourceNode === node && { moved: withVolume(memory.moved, volume) }),
    ...(outcome === 'NothingToMove' && { idle: withVolume(memory.idle, volume) }),
  };
}

/** A person has aborted the move away from this node. */
export function isHeldBack({ outcome, sourceNode, abortedByPerson }: MigrationEnded, node: string): boolean {
  return outcome === 'Aborted' && sourceNode === node && abortedByPerson;
}

export function withVolume(volumes: readonly string[], volume: string): readonly string[] {
  return [...new Set([...volumes, volume])];
}

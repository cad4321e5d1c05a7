/** Whether somebody still looks after what a migration has left its tag on. */
import type { LocalVolumeMigrate } from '../contracts/objects/index.ts';

/**
 * @param migration the one whose uid stands in the tag; undefined: there is none. @returns why nobody will take away what carries the tag on this
 * node, in words; undefined where somebody does: a migration that is under way, or, after an abort or for another target, the node's own sweep.
 */
export function orphanedBecause(migration: LocalVolumeMigrate | undefined, node: string): string | undefined {
  if (!migration) return 'there is no such LocalVolumeMigrate any more';
  const isLeft = migration.status?.phase === 'Completed' && !isGivenUp(migration, node);
  return isLeft ? `LocalVolumeMigrate ${migration.metadata.name} is Completed` : undefined;
}

/**
 * The migration is not about this node, so that what carries its tag here is of a target that it left for another. Nobody needs that: the volume is on
 * its source, or verified on the other target. A record that has passed its point of no return and names no target tells nothing.
 */
export function isGivenUp({ spec, status }: LocalVolumeMigrate, node: string): boolean {
  const { target, pointOfNoReturn } = status ?? {};
  const isElsewhere = target ? target.node !== node : !pointOfNoReturn;
  return spec.sourceNode !== node && isElsewhere;
}

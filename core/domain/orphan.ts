/** Whether somebody still looks after what a migration has left its tag on. */
import type { LocalVolumeMigrate } from '../contracts/objects/index.ts';

/**
 * @param migration the one whose uid stands in the tag; undefined: there is none. @returns why nobody will take away what carries the tag on this
 * node, in words; undefined where somebody does: a migration that is under way, or, after an abort, the node's own sweep.
 */
export function orphanedBecause(migration: LocalVolumeMigrate | undefined, node: string): string | undefined {
  if (!migration) return 'there is no such LocalVolumeMigrate any more';
  const { metadata, spec, status } = migration;
  if (status?.phase === 'Aborted') return undefined;
  if (status?.phase === 'Completed') return `LocalVolumeMigrate ${metadata.name} is Completed`;
  const target = status?.target?.node;
  if (spec.sourceNode === node || target === node) return undefined;
  return `LocalVolumeMigrate ${metadata.name} moves ${spec.volumeName} from ${spec.sourceNode} to ${target ?? 'a node not yet chosen'}`;
}

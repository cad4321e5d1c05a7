/**
 * What carries a migration's tag on this node and has nobody who takes it away: its LocalVolumeMigrate was deleted by hand, or has ended, or is about
 * other nodes. Nothing proves that it may go, so it is found and told, and a person decides.
 */
import { Tag } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { orphanedBecause } from '../../core/domain/orphan.ts';
import type { NodeDependencies } from './dependencies.ts';
import { listTagged } from './metadata-volume.ts';
import { tagValue } from './mirror-tags.ts';

type Deps = Pick<NodeDependencies, 'host' | 'nodeName' | 'stateDirectory'>;

export interface Orphan {
  readonly migrationUid: string;
  /** Of what carries its tag: logical volumes with their volume groups, and files. */
  readonly names: readonly string[];
  /** In words. */
  readonly because: string;
}

/** @param listMigrations all that there are, live; asked only where something carries a tag. */
export async function findOrphans(deps: Deps, listMigrations: () => Promise<readonly LocalVolumeMigrate[]>): Promise<readonly Orphan[]> {
  const found = await namesByMigration(deps);
  if (found.size === 0) return [];
  const migrations = new Map((await listMigrations()).map((migration) => [migration.metadata.uid, migration]));
  const reasons = [...found.keys()].flatMap((migrationUid) => {
    const because = orphanedBecause(migrations.get(migrationUid), deps.nodeName);
    return because === undefined ? [] : [{ migrationUid, because }];
  });
  if (reasons.length === 0) return [];
  // Between the two looks a migration may have ended, and have taken its tags away.
  const standing = await namesByMigration(deps);
  return reasons.flatMap(({ migrationUid, because }) => {
    const names = standing.get(migrationUid);
    return names ? [{ migrationUid, names: names.toSorted(), because }] : [];
  });
}

/** By uid. A source that was cut over carries no other tag than that. */
async function namesByMigration({ host, stateDirectory }: Deps): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = new Map<string, string[]>();
  for (const { name, tags } of await listTagged(host, stateDirectory)) {
    const uid = tagValue(tags, Tag.migration) ?? tagValue(tags, Tag.cutOver);
    if (uid !== undefined) names.set(uid, [...(names.get(uid) ?? []), name]);
  }
  return names;
}

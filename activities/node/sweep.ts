/**
 * What aborted migrations left on this node because its agent was away then: nobody waited for it, so it does its share when it is back.
 *
 * Found by tag, and taken away only where the LocalVolumeMigrate says Aborted and names this node: tags whose migration is gone are for a person.
 */
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { discard, restore } from './abort.ts';
import type { NodeDependencies } from './dependencies.ts';
import { listTagged } from './metadata-volume.ts';
import { openStep } from './mirror-step.ts';
import { tagValue } from './mirror-tags.ts';
import { requestSchemas } from './requests.ts';
import { lockVolume } from './volume-lock.ts';

export interface Sweep {
  /** Migrations whose leftovers went. */
  readonly swept: readonly LocalVolumeMigrate[];
  /** Migrations that left something here which could not be taken away, and why. None holds up the others. */
  readonly failed: readonly { readonly migration: LocalVolumeMigrate; readonly error: unknown }[];
}

/** @param migrations all that there are; each is read again, live, before anything goes. */
export async function sweepAborted(deps: NodeDependencies, migrations: readonly LocalVolumeMigrate[]): Promise<Sweep> {
  const aborted = migrations.filter(({ status }) => status?.phase === 'Aborted');
  const swept: LocalVolumeMigrate[] = [];
  const failed: Sweep['failed'][number][] = [];
  if (aborted.length === 0) return { swept, failed };
  const tagged = new Set((await listTagged(deps.host, deps.stateDirectory)).map(({ tags }) => tagValue(tags, Tag.migration)));
  for (const migration of aborted.filter(({ metadata }) => tagged.has(metadata.uid))) {
    try {
      await sweep(deps, migration);
      swept.push(migration);
    } catch (error) {
      failed.push({ migration, error });
    }
  }
  return { swept, failed };
}

/** In the place of a target that was given up: the record names none, and DRBD knows no connection to it. */
const NOBODY: MirrorEnd = { node: 'nobody', storageAddress: '0.0.0.0' };

/** @throws NotPermitted where the migration is not about this node. */
async function sweep(deps: NodeDependencies, { metadata, spec, status }: LocalVolumeMigrate): Promise<void> {
  const migration = { name: metadata.name, uid: metadata.uid, volume: spec.volumeName };
  const { pool, sizeBytes, source, target = NOBODY, pairing } = status ?? {};
  const { mirror } = requestSchemas.mirror.parse({ mirror: { migration, pool, sizeBytes, source, target, pairing } });
  const role = spec.sourceNode === deps.nodeName ? 'source' : 'target';
  await lockVolume(deps, mirror.migration.volume, async (host) => {
    const step = await openStep({ ...deps, host }, mirror, { role, phases: ['Aborted'], pointOfNoReturn: false });
    await (role === 'source' ? restore(step) : discard(step));
  });
}

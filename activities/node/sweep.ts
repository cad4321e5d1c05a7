/**
 * What aborted migrations left on this node because its agent was away then: nobody waited for it, so it does its share when it is back.
 *
 * Found by tag, and taken away only where the LocalVolumeMigrate says Aborted and names this node: tags whose migration is gone are for a person.
 */
import { Tag } from '../../core/contracts/names.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { listLogicalVolumes } from '../../system/lvm/report.ts';
import { discard, restore } from './abort.ts';
import type { NodeDependencies } from './dependencies.ts';
import { openStep } from './mirror-step.ts';
import { tagValue } from './mirror-tags.ts';
import { requirePermission } from './permission.ts';
import { requestSchemas } from './requests.ts';
import { lockVolume } from './volume-lock.ts';

/** @param migrations all that there are; each is read again, live, before anything goes. @returns the volumes whose leftovers went. */
export async function sweepAborted(deps: NodeDependencies, migrations: readonly LocalVolumeMigrate[]): Promise<readonly string[]> {
  const aborted = migrations.filter(({ status }) => status?.phase === 'Aborted');
  if (aborted.length === 0) return [];
  const volumes = await listLogicalVolumes(deps.host);
  const tagged = new Set(volumes.map(({ tags }) => tagValue(tags, Tag.migration)));
  const swept: string[] = [];
  for (const migration of aborted.filter(({ metadata }) => tagged.has(metadata.uid))) {
    if (await sweep(deps, migration)) swept.push(migration.spec.volumeName);
  }
  return swept;
}

/** @returns false where the migration is not about this node. */
async function sweep(deps: NodeDependencies, { metadata, spec, status }: LocalVolumeMigrate): Promise<boolean> {
  const migration = { name: metadata.name, uid: metadata.uid, volume: spec.volumeName };
  const { pool, sizeBytes, source, target, pairing } = status ?? {};
  const { mirror } = requestSchemas.mirror.parse({ mirror: { migration, pool, sizeBytes, source, target, pairing } });
  const role = (['source', 'target'] as const).find((candidate: MirrorRole) => mirror[candidate].node === deps.nodeName);
  if (!role) return false;
  await lockVolume(deps, mirror.migration.volume, async (host) => {
    await requirePermission(deps, mirror, { role, phases: ['Aborted'], pointOfNoReturn: false });
    const step = await openStep({ ...deps, host }, mirror, role);
    await (role === 'source' ? restore(step) : discard(step));
  });
  return true;
}

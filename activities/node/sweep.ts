/**
 * What migrations left on this node because its agent was away then: nobody waited for it, so it does its share when it is back.
 *
 * Found by tag, and taken away only where the LocalVolumeMigrate says Aborted and names this node, or names other nodes: this one was a target then, and
 * was left for another. Tags whose migration is gone are for a person.
 */
import type { Mirror, MirrorEnd } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { isGivenUp } from '../../core/domain/orphan.ts';
import { discard, restore } from './abort.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { listTagged } from './metadata-volume.ts';
import { describeStep, openStep } from './mirror-step.ts';
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
  if (aborted.length === 0) return { swept: [], failed: [] };
  const tagged = await taggedHere(deps);
  const left = aborted.filter(({ metadata }) => tagged.has(metadata.uid));
  return each(left, (migration) => (isGivenUp(migration, deps.nodeName) ? sweepTarget(deps, migration) : sweep(deps, migration)));
}

/** @param listMigrations all that there are, live; asked only where something carries a tag. */
export async function sweepGivenUp(deps: NodeDependencies, listMigrations: () => Promise<readonly LocalVolumeMigrate[]>): Promise<Sweep> {
  const tagged = await taggedHere(deps);
  if (tagged.size === 0) return { swept: [], failed: [] };
  const left = (await listMigrations()).filter((migration) => tagged.has(migration.metadata.uid) && isGivenUp(migration, deps.nodeName));
  return each(left, (migration) => sweepTarget(deps, migration));
}

/** uids of migrations. */
async function taggedHere({ host, stateDirectory }: NodeDependencies): Promise<ReadonlySet<string>> {
  const uids = (await listTagged(host, stateDirectory)).map(({ tags }) => tagValue(tags, Tag.migration));
  return new Set(uids.filter((uid) => uid !== undefined));
}

async function each(left: readonly LocalVolumeMigrate[], sweepOne: (migration: LocalVolumeMigrate) => Promise<void>): Promise<Sweep> {
  const swept: LocalVolumeMigrate[] = [];
  const failed: Sweep['failed'][number][] = [];
  for (const migration of left) {
    try {
      await sweepOne(migration);
      swept.push(migration);
    } catch (error) {
      failed.push({ migration, error });
    }
  }
  return { swept, failed };
}

/** In the place of a target that was given up: nobody connects to it, or from it. */
const NOBODY: MirrorEnd = { node: 'nobody', storageAddress: '0.0.0.0' };

/** @throws NotPermitted where the migration is not about this node. */
async function sweep(deps: NodeDependencies, migration: LocalVolumeMigrate): Promise<void> {
  const mirror = mirrorOf(migration, migration.status?.target ?? NOBODY);
  const role = migration.spec.sourceNode === deps.nodeName ? 'source' : 'target';
  await lockVolume(deps, mirror.migration.volume, async (host) => {
    const step = await openStep({ ...deps, host }, mirror, { role, phases: ['Aborted'], pointOfNoReturn: false });
    await (role === 'source' ? restore(step) : discard(step));
  });
}

/** Read again under the volume's lock: should the migration come back to this node, its steps wait for that, and find nothing. @throws NotPermitted */
async function sweepTarget(deps: NodeDependencies, seen: LocalVolumeMigrate): Promise<void> {
  const { name, uid } = seen.metadata;
  const mirror = mirrorOf(seen, { ...NOBODY, node: deps.nodeName });
  await lockVolume(deps, mirror.migration.volume, async (host) => {
    const live = await deps.findMigration(name);
    if (live?.metadata.uid !== uid || !isGivenUp(live, deps.nodeName)) {
      throw failure('NotPermitted', `LocalVolumeMigrate ${name} does not say that it has left this node for another`);
    }
    await discard(await describeStep({ ...deps, host }, mirror, 'target'));
  });
}

function mirrorOf({ metadata, spec, status }: LocalVolumeMigrate, target: MirrorEnd): Mirror {
  const migration = { name: metadata.name, uid: metadata.uid, volume: spec.volumeName };
  const { pool, sizeBytes, source, pairing } = status ?? {};
  return requestSchemas.mirror.parse({ mirror: { migration, pool, sizeBytes, source, target, pairing } }).mirror;
}

/** A node that is being emptied: what is to be moved away from it, what runs, and what a person wants to stay. */
import type { ClusterActivities, RunningMigration } from '../../core/contracts/cluster-activities.ts';
import { Annotation } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { isCordoned, isEvictionDisabled, isToBeEmptied } from '../../core/domain/node-wish.ts';
import { regarding } from '../../system/kube/events.ts';
import { localStorageNodes, localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { keyOf, nodes } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { isOpen, triggerOf } from './migration-objects.ts';
import type { ClusterStores } from './stores.ts';
import { progressOf } from './volume-facts.ts';
import { bondsOf, companionsOf } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'events'>;
type ObserveDeps = Pick<ClusterDependencies, 'kube' | 'stores' | 'whyStays' | 'evictionDelaySeconds'>;

/**
 * The node itself is read live: a look that was asked for because the node changed must not see what it was before, and there may be no other change
 * to be told of.
 */
export const observeNodeEviction =
  ({ kube, stores, whyStays, evictionDelaySeconds: delaySeconds }: ObserveDeps): ClusterActivities['observeNodeEviction'] =>
  async ({ node: name }) => {
    const node = await kube.find(nodes, { name });
    const away = migrationsAwayFrom(stores, name);
    const heldBack = new Set(away.filter(isHeld).map(({ spec }) => spec.volumeName));
    const bonds = bondsOf(stores);
    const isHeldBack = (volume: string) =>
      heldBack.has(volume) ||
      (heldBack.size > 0 && companionsOf(stores, volume, name, bonds).some(({ metadata }) => heldBack.has(metadata.name)));
    // What somebody else asked for is this eviction's business only as long as it wants the same.
    const concerns = (migrate: LocalVolumeMigrate) => isOpen(migrate) && (isToBeEmptied(node) || triggerOf(migrate) === 'node-drain');
    return {
      exists: node !== undefined,
      cordoned: isCordoned(node),
      disabled: isEvictionDisabled(node),
      volumes: volumesOn(stores, name).map((volume) => {
        const stays = whyStays(stores, volume, name, bonds);
        return { volume, held: isHeldBack(volume), ...(stays && { stays }) };
      }),
      running: away.filter(concerns).map(describeRunning),
      ...(delaySeconds > 0 && { delaySeconds }),
    };
  };

export const releaseHolds =
  ({ kube, stores }: Deps): ClusterActivities['releaseHolds'] =>
  async ({ node }) => {
    for (const { metadata } of migrationsAwayFrom(stores, node).filter(isHeld)) {
      await kube.mergePatch(
        localVolumeMigrates,
        { name: metadata.name },
        { metadata: { uid: metadata.uid, annotations: { [Annotation.holdReleased]: 'true' } } },
      );
    }
  };

export const reportNodeEviction =
  ({ stores, events }: Deps): ClusterActivities['reportNodeEviction'] =>
  async ({ node: name, event, message }) => {
    const node = stores.nodes.get(keyOf({ name }));
    const storageNode = stores.localStorageNodes.get(keyOf({ name }));
    const told = [...(node ? [regarding(nodes, node)] : []), ...(storageNode ? [regarding(localStorageNodes, storageNode)] : [])];
    await Promise.all(told.map((object) => events.tell({ regarding: object, reason: event, note: message })));
  };

export function migrationsAwayFrom({ localVolumeMigrates: all }: ClusterStores, node: string): readonly LocalVolumeMigrate[] {
  return all.list().filter(({ spec }) => spec.sourceNode === node);
}

/** A person aborted the move: the volume stays until the node is uncordoned. */
export function isHeld({ metadata, status }: LocalVolumeMigrate): boolean {
  return status?.phase === 'Aborted' && status.abortedByPerson === true && metadata.annotations?.[Annotation.holdReleased] === undefined;
}

/** Volumes with a replica on the node, by whichever object says so: one whose objects contradict each other is for its own migration to report. */
export function volumesOn({ localVolumeReplicas, localVolumes }: ClusterStores, node: string): readonly string[] {
  const byReplica = localVolumeReplicas.list().filter(({ spec }) => spec.nodeName === node);
  const byConfiguration = localVolumes.list().filter(({ spec }) => spec.config?.replicas.some(({ hostname }) => hostname === node));
  return [...new Set([...byReplica.map(({ spec }) => spec.volumeName), ...byConfiguration.map(({ metadata }) => metadata.name)])].sort();
}

/** One that finds no target names every node of the cluster, and hundreds of volumes may wait together: Temporal takes 2 MiB for an answer. */
const SHOWN_CHARACTERS = 500;

export function describeRunning(migrate: LocalVolumeMigrate): RunningMigration {
  const { phase = 'Pending', target, message = '' } = migrate.status ?? {};
  const { percent, waitsFor } = progressOf(migrate);
  const whole = waitsFor === undefined ? message : `${message}, waits for ${waitsFor}`;
  return {
    volume: migrate.spec.volumeName,
    phase,
    message: whole.length > SHOWN_CHARACTERS ? `${whole.slice(0, SHOWN_CHARACTERS - 1)}…` : whole,
    ...(target && { target: target.node }),
    ...(percent !== undefined && { percent }),
  };
}

/** Which volumes have to follow another one of their pods, and where. */
import type { LocalVolume } from '../../core/contracts/objects/index.ts';
import { isToBeEmptied } from '../../core/domain/node-wish.ts';
import type { FollowingVolume } from '../../core/domain/placement.ts';
import { keyOf } from '../../system/kube/resources.ts';
import { followingVolume } from './candidates.ts';
import { evictionMarksIn } from './eviction-marks.ts';
import { hasEnded } from './migration-objects.ts';
import type { StorageNodes } from './storage-nodes.ts';
import type { ClusterStores } from './stores.ts';
import { claimNames, claimOf, companionsOf, replicasOf, volumesOf } from './volume-objects.ts';

/**
 * By node, the volumes that have yet to follow one that has reserved room there. One that holds room on another node, because their targets differ or
 * its own was lost, counts as well: that is where it is going to go.
 * @param storageNodes as they are live: what a volume has just reserved binds the others of its pods at once.
 */
export function followingOf(stores: ClusterStores, storageNodes: StorageNodes): ReadonlyMap<string, readonly FollowingVolume[]> {
  const reserved = [...storageNodes].filter(([, { reservations }]) => reservations.size > 0);
  // To look for companions is to look through all objects, and most volumes have none.
  const grouped = reserved.length > 0 ? groupedVolumes(stores) : new Set<string>();
  if (grouped.size === 0) return new Map();

  const sourceOf = departures(stores);
  return new Map(
    reserved.map(([node, { reservations }]) => {
      const leaders = [...reservations.keys()].filter((volume) => grouped.has(volume));
      const companions = new Map(
        leaders.flatMap((leader) => companionsOf(stores, leader).map((companion) => [companion.metadata.name, companion])),
      );
      const following = [...companions].flatMap(([name, companion]) => {
        const nodes = replicasOf(stores, name).map(({ spec }) => spec.nodeName);
        const isThere = reservations.has(name) || nodes.includes(node);
        const source = isThere ? undefined : sourceOf(companion, nodes);
        return source === undefined ? [] : [followingVolume(companion, nodes, storageNodes.get(source))];
      });
      return [node, following];
    }),
  );
}

/** Those that may have companions: of the pods with several claims, and of the groups. */
function groupedVolumes(stores: ClusterStores): ReadonlySet<string> {
  const together = stores.pods.list().flatMap((pod) => (claimNames(pod).length > 1 ? volumesOf(stores, pod) : []));
  const groups = Map.groupBy(stores.localVolumes.list(), ({ spec }) => spec.volumegroup);
  const inGroups = Array.from(groups).flatMap(([group, volumes]) => (group === undefined || volumes.length === 1 ? [] : volumes));
  return new Set([...together, ...inGroups.map(({ metadata }) => metadata.name)]);
}

/**
 * The node that a volume leaves, if it does: what nobody is going to move needs no room elsewhere. Migrations alone do not tell, because an eviction
 * opens them one after another, and the room would be gone before the last one is there.
 */
function departures(stores: ClusterStores) {
  const { localVolumeMigrates, nodes } = stores;
  const migrates = localVolumeMigrates.list().filter((migrate) => !hasEnded(migrate));
  const moves = Map.groupBy(migrates, ({ spec }) => spec.volumeName);
  return ({ metadata: { name } }: LocalVolume, places: readonly string[]): string | undefined => {
    const left = new Set([
      ...(moves.get(name) ?? []).map((move) => move.spec.sourceNode),
      ...evictionMarksIn(stores, claimOf(stores, name)).map(({ node }) => node),
    ]);
    return places.find((place) => left.has(place) || isToBeEmptied(nodes.get(keyOf({ name: place }))));
  };
}

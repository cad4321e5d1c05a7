/** Which volumes have to follow another one that they leave together with, and where. */
import { isToBeEmptied } from '../../core/domain/node-wish.ts';
import type { FollowingVolume } from '../../core/domain/placement.ts';
import { keyOf } from '../../system/kube/resources.ts';
import { followingVolume } from './candidates.ts';
import { evictionMarksIn } from './eviction-marks.ts';
import { hasEnded } from './migration-objects.ts';
import type { StorageNodes } from './storage-nodes.ts';
import type { ClusterStores } from './stores.ts';
import { type Bonds, bondsOf, claimOf, companionsOf, replicasOf } from './volume-objects.ts';

/**
 * By node, the volumes that have yet to follow one that has reserved room there. One that holds room on another node, because their targets differ or
 * its own was lost, counts as well: that is where it is going to go.
 * @param storageNodes as they are live: what a volume has just reserved binds the others at once.
 */
export function followingOf(stores: ClusterStores, storageNodes: StorageNodes): ReadonlyMap<string, readonly FollowingVolume[]> {
  const reserved = [...storageNodes].filter(([, { reservations }]) => reservations.size > 0);
  // To look for bonds is to look through all objects, and most volumes have none.
  const bonds: Bonds = reserved.length > 0 ? bondsOf(stores) : new Map();
  if (bonds.size === 0) return new Map();

  const sourceOf = departures(stores);
  return new Map(
    reserved.map(([node, { reservations }]) => {
      const leaders = [...reservations.keys()].filter((volume) => bonds.has(volume));
      const companions = new Map(
        leaders.flatMap((leader) => {
          // One that leaves no node any more has been followed: the others have reserved room by then.
          const source = sourceOf(leader);
          return source === undefined
            ? []
            : companionsOf(stores, leader, source, bonds).map((companion) => [companion.metadata.name, companion]);
        }),
      );
      const following = [...companions].flatMap(([name, companion]) => {
        const nodes = placesOf(stores, name);
        const isThere = reservations.has(name) || nodes.includes(node);
        const source = isThere ? undefined : sourceOf(name);
        return source === undefined ? [] : [followingVolume(companion, nodes, storageNodes.get(source))];
      });
      return [node, following];
    }),
  );
}

/**
 * The node that a volume leaves, if it does: what nobody is going to move needs no room elsewhere. Migrations alone do not tell, because an eviction
 * opens them one after another, and the room would be gone before the last one is there.
 */
function departures(stores: ClusterStores) {
  const { localVolumeMigrates, nodes } = stores;
  const migrates = localVolumeMigrates.list().filter((migrate) => !hasEnded(migrate));
  const moves = Map.groupBy(migrates, ({ spec }) => spec.volumeName);
  return (volume: string): string | undefined => {
    const left = new Set([
      ...(moves.get(volume) ?? []).map((move) => move.spec.sourceNode),
      ...evictionMarksIn(stores, claimOf(stores, volume)).map(({ node }) => node),
    ]);
    return placesOf(stores, volume).find((place) => left.has(place) || isToBeEmptied(nodes.get(keyOf({ name: place }))));
  };
}

function placesOf(stores: ClusterStores, volume: string): readonly string[] {
  return replicasOf(stores, volume).map(({ spec }) => spec.nodeName);
}

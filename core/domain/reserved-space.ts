/**
 * How much of a node's pools is promised to volumes that are on their way there.
 *
 * Every byte of a volume that arrives is to be counted exactly once, at every moment, by whoever reads the LocalStorageNode:
 *
 *   reserved, nothing made yet        the whole reservation
 *   made, being synced                `arriving` says how much of it the pool's free bytes lack already: the rest of the reservation
 *   cut over: in the pool's `volumes` nothing: the pool's free bytes lack all of it
 *
 * `freeCapacityBytes`, `volumes` and `arriving` come from one look at LVM and are written in one patch, so no reader finds a volume in two of these
 * states, or in none. The number of volumes follows the same rule: a reservation is one volume until `volumes` lists it.
 *
 * A thin volume takes its metadata volume of the volume group and the rest of its thin pool, as it is copied. Of that `arriving` says in `thinBytes` how
 * much it has taken so far; that it is there says that the pool owes it its size already.
 */
import type { Pool, Reservation } from '../contracts/objects/index.ts';

export interface OutstandingReservation {
  readonly volume: string;
  readonly pool: string;
  /** What is still to be taken from the pool's free bytes; 0 where all of it was made. */
  readonly bytes: number;
  /** What is still to be taken from a thin pool in it, and to be promised by it. */
  readonly thin?: ThinShare | undefined;
}

export type ThinShare = NonNullable<Reservation['thin']>;

export function outstandingReservations(
  reservations: ReadonlyMap<string, Reservation>,
  pools: Readonly<Record<string, Pool>>,
): readonly OutstandingReservation[] {
  return Array.from(reservations)
    .filter(([volume, { pool }]) => !pools[pool]?.volumes?.includes(volume))
    .map(([volume, { pool, bytes, thin }]) => {
      const made = pools[pool]?.arriving?.find((arriving) => arriving.volume === volume);
      return { volume, pool, bytes: Math.max(0, bytes - (made?.bytes ?? 0)), thin: thin && outstandingShare(thin, made?.thinBytes) };
    });
}

/** @param takenBytes undefined: the logical volume is not made yet. */
function outstandingShare({ pool, bytes, promisedBytes }: ThinShare, takenBytes: number | undefined): ThinShare {
  if (takenBytes === undefined) return { pool, bytes, promisedBytes };
  return { pool, bytes: Math.max(0, bytes - takenBytes), promisedBytes: 0 };
}

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
 */
import type { Pool, Reservation } from '../contracts/objects/index.ts';

export interface OutstandingReservation {
  readonly volume: string;
  readonly pool: string;
  /** What is still to be taken from the pool's free bytes; 0 where all of it was made. */
  readonly bytes: number;
}

export function outstandingReservations(
  reservations: ReadonlyMap<string, Reservation>,
  pools: Readonly<Record<string, Pool>>,
): readonly OutstandingReservation[] {
  return Array.from(reservations)
    .filter(([volume, { pool }]) => !pools[pool]?.volumes?.includes(volume))
    .map(([volume, { pool, bytes }]) => {
      const made = pools[pool]?.arriving?.find((arriving) => arriving.volume === volume)?.bytes ?? 0;
      return { volume, pool, bytes: Math.max(0, bytes - made) };
    });
}

/**
 * The two networks of the lab, in a network namespace of their own, so that nothing of the host's addresses, routes and filters is touched:
 *
 *     storage     10.77.0.0/24   bridge, one tap for each machine                      mirrors, and nothing else
 *     management  10.78.0.0/24   bridge, one tap for each machine, a veth to the host  ssh, API server, Temporal
 *
 * They are apart so that cutting the storage network leaves the way in. The host has 10.78.0.254 and no way into the storage network.
 */

export type Network = 'storage' | 'management';

export const NAMESPACE = 'rehome-lab';

/** Where machines reach the host: API server, Temporal. */
export const HOST_MANAGEMENT_ADDRESS = '10.78.0.254';

/** Makes namespace, bridges, taps for machines 1 to `count`, and the host's address. Does nothing where they stand. */
export async function createNetworks(_count: number): Promise<void> {
  throw new Error('not implemented yet');
}

/** Removes all of it, also what an interrupted creation left. The machines must have been killed. */
export async function removeNetworks(): Promise<void> {
  throw new Error('not implemented yet');
}

export async function networksExist(): Promise<boolean> {
  throw new Error('not implemented yet');
}

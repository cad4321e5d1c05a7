/**
 * The limit of a sync's rate is changed while it runs: agents are started anew with another value, and each gives it to the mirrors that stand on its
 * node. To targets alone: theirs is the end that asks for the blocks, and a source's limit is that of its verify.
 */

import type { NodeDependencies } from './dependencies.ts';
import { isMirrorResource } from './mirror-names.ts';
import { isAttached, openDriver } from './mirror-step.ts';

/** @returns DRBD's resources. */
export async function limitRunningSyncs(deps: Pick<NodeDependencies, 'host' | 'syncSettings'>): Promise<readonly string[]> {
  // A kernel without DRBD has no mirrors, and need not load it for that.
  if ((await deps.host.readText('/proc/drbd')) === undefined) return [];
  const drbd = await openDriver(deps);
  const limited: string[] = [];
  for (const found of await drbd.observe()) {
    const { resource, minor, state } = found;
    if (!isMirrorResource(resource) || minor === undefined || !isAttached(found) || state?.role !== 'Secondary') continue;
    await drbd.limitRate({ resource, minor, role: 'target' }, deps.syncSettings.maxRateBytesPerSecond);
    limited.push(resource);
  }
  return limited;
}

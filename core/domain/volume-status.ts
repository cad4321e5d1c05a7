/**
 * What a LocalVolume's status should say of its replicas: which they are, and whether the volume is Ready.
 *
 *   spec.config names a node without a replica, or fewer than `replicaNumber` replicas are Ready  -> NotReady
 *   else                                                                                          -> Ready
 *
 * `allocatedCapacityBytes` is not among it: it is what a logical volume of another size is known by, so nothing may copy it from one.
 */
import type { LocalVolume, LocalVolumeReplica, LocalVolumeStatus } from '../contracts/objects/index.ts';

export type VolumeJudgement = Required<Pick<LocalVolumeStatus, 'state' | 'replicas'>>;

/**
 * @param replicas of the volume, also those it has left or has not come to yet.
 * @returns undefined: nothing to say. The volume is being deleted, nobody has said where it lies, or an agent has not looked at its replica yet.
 */
export function judgeVolume(
  { spec, status }: Pick<LocalVolume, 'spec' | 'status'>,
  replicas: readonly Pick<LocalVolumeReplica, 'metadata' | 'spec' | 'status'>[],
): VolumeJudgement | undefined {
  const deleted = spec.delete || status?.state === 'ToBeDeleted' || status?.state === 'Deleted';
  if (deleted || !spec.config) return undefined;
  const nodes = new Set(spec.config.replicas.map(({ hostname }) => hostname));
  const placed = replicas.filter((replica) => nodes.has(replica.spec.nodeName));
  if (placed.some((replica) => !replica.status?.state)) return undefined;

  const found = new Set(placed.map((replica) => replica.spec.nodeName));
  const ready = placed.filter((replica) => replica.status?.state === 'Ready');
  const names = placed.map(({ metadata }) => metadata.name).toSorted();
  const listed = status?.replicas ?? [];
  return {
    state: found.size === nodes.size && ready.length >= spec.replicaNumber ? 'Ready' : 'NotReady',
    // In whatever order they stand there already.
    replicas: names.length === listed.length && names.every((name) => listed.includes(name)) ? listed : names,
  };
}

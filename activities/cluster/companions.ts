/** What the objects say of the other volumes that leave with a volume. */
import type { CompanionsVerdict } from '../../core/contracts/cluster-activities.ts';
import type { LocalVolume, LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { type Companion, type CompanionMove, judgeCompanions } from '../../core/domain/companions.ts';
import { evictionMarksIn } from './eviction-marks.ts';
import { isOpen, isRequest, isTakenBack, triggerOf } from './migration-objects.ts';
import type { ClusterStores } from './stores.ts';
import { claimOf, companionsOf, replicaNodesOf } from './volume-objects.ts';
import { heldBy } from './volume-users.ts';

/** @returns undefined: it has none. */
export function companionsVerdict(stores: ClusterStores, migrate: LocalVolumeMigrate): CompanionsVerdict | undefined {
  const { spec, status } = migrate;
  const others = companionsOf(stores, spec.volumeName, spec.sourceNode);
  if (others.length === 0) return undefined;
  const { target, pairing = 0 } = status ?? {};
  const own = { volume: spec.volumeName, sourceNode: spec.sourceNode, pairing, ...(target && { target: target.node }) };
  return judgeCompanions(
    own,
    others.map((other) => companionOf(stores, migrate, other)),
  );
}

function companionOf(stores: ClusterStores, migrate: LocalVolumeMigrate, localVolume: LocalVolume): Companion {
  const { sourceNode } = migrate.spec;
  const volume = localVolume.metadata.name;
  const moves = stores.localVolumeMigrates.list().filter(({ spec }) => spec.volumeName === volume && spec.sourceNode === sourceNode);
  const current = moves.filter((other) => !wasTakenBackBefore(other, migrate));
  const move = current.find(isOpen) ?? current.filter((ended) => hasEndedSince(ended, migrate)).sort(byEnd)[0];
  return {
    volume,
    nodes: replicaNodesOf(stores, localVolume),
    heldBy: heldBy(stores, volume, sourceNode),
    ...(move && { move: describeMove(move) }),
    // A drain moves all that is on the node, and the eviction of a pod all that is marked.
    isDue: triggerOf(migrate) === 'node-drain' || moves.some(isRequest) || isEvictedFrom(stores, volume, sourceNode),
  };
}

function isEvictedFrom(stores: ClusterStores, volume: string, node: string): boolean {
  return evictionMarksIn(stores, claimOf(stores, volume)).some((mark) => mark.node === node);
}

function describeMove({ status = {} }: LocalVolumeMigrate): CompanionMove {
  const { phase = 'Pending', message = '', target, pairing = 0, proven, pointOfNoReturn, abortedByPerson } = status;
  return {
    phase,
    message,
    ...(target && { target: target.node }),
    pairing,
    proven: proven === true,
    pointOfNoReturn: pointOfNoReturn === true,
    abortedByPerson: abortedByPerson === true,
  };
}

/** Both times are the controller's. What ended before it was begun is of an earlier attempt. */
function hasEndedSince({ status: ended }: LocalVolumeMigrate, { status }: LocalVolumeMigrate): boolean {
  const begun = status?.phaseTimes?.Pending;
  return ended?.endTime !== undefined && begun !== undefined && ended.endTime >= begun;
}

/** By the world: whoever is begun since would be taken back with it, and begun again, until it has ended. */
function wasTakenBackBefore(other: LocalVolumeMigrate, { status }: LocalVolumeMigrate): boolean {
  const [aborting, begun] = [other.status?.phaseTimes?.Aborting, status?.phaseTimes?.Pending];
  return isTakenBack(other) && other.status?.abortedByPerson !== true && aborting !== undefined && begun !== undefined && aborting < begun;
}

const byEnd = (a: LocalVolumeMigrate, b: LocalVolumeMigrate): number => ((a.status?.endTime ?? '') > (b.status?.endTime ?? '') ? -1 : 1);

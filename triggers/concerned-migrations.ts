/** Which of the open migrations a change of an object concerns: those that wait for what has changed. */
import { thinPoolsOf } from '../activities/cluster/candidates.ts';
import { isTakenBack } from '../activities/cluster/migration-objects.ts';
import { moveWish } from '../activities/cluster/stay.ts';
import type { ClusterStores, PodView } from '../activities/cluster/stores.ts';
import { claimNames, claimOf, companionsOf, persistentVolumeOf } from '../activities/cluster/volume-objects.ts';
import type { LocalStorageNode, LocalVolumeMigrate, Pool } from '../core/contracts/objects/index.ts';
import type { Phase } from '../core/contracts/phases.ts';
import { reservationsOf } from '../system/kube/reservations.ts';
import type { Node, VolumeAttachment } from '../system/kube/resources.ts';

type Migrates = readonly LocalVolumeMigrate[];
type Wishing = NonNullable<Parameters<typeof moveWish>[0]>;

/** Phases in which a migration may wait for its volume to be let go; CuttingOver goes back to waiting when somebody holds it again. */
const MAY_WAIT_FOR_DETACH: readonly Phase[] = ['Pending', 'Reserving', 'AwaitingDetach', 'CuttingOver'];
/** Phases in which a migration may wait for its objects to be put right. */
const MAY_WAIT_FOR_OBJECTS: readonly Phase[] = ['Pending', 'NeedsAttention'];

export function concernedBy(stores: ClusterStores) {
  return {
    /** A pod that came, went, ended, or was given a node. */
    pod(open: Migrates, now: PodView | undefined, before: PodView | undefined): Migrates {
      const pod = now ?? before;
      if (!pod || (now && before && now.spec?.nodeName === before.spec?.nodeName && now.status?.phase === before.status?.phase)) return [];
      const claims = claimNames(pod);
      if (claims.length === 0) return [];
      return open.filter(inPhase(MAY_WAIT_FOR_DETACH)).filter(({ spec }) => {
        const claim = claimOf(stores, spec.volumeName);
        return claim !== undefined && claim.namespace === pod.metadata.namespace && claims.includes(claim.name);
      });
    },

    /** Attached, or no more. */
    volumeAttachment(open: Migrates, now: VolumeAttachment | undefined, before: VolumeAttachment | undefined): Migrates {
      const attachment = now ?? before;
      if (!attachment || (now && before)) return [];
      const name = attachment.spec.source.persistentVolumeName;
      return open
        .filter(inPhase(MAY_WAIT_FOR_DETACH))
        .filter(({ spec }) => persistentVolumeOf(stores, spec.volumeName)?.metadata.name === name);
    },

    /** What the kubelet has mounted concerns the volumes that leave; what makes a node a target, those without one. */
    node(open: Migrates, name: string, now: Node | undefined, before: Node | undefined): Migrates {
      const unmounted = !same(now?.status?.volumesInUse, before?.status?.volumesInUse);
      const admits = !same(admission(now), admission(before));
      return open.filter(
        (migrate) =>
          (unmounted && migrate.spec.sourceNode === name && inPhase(MAY_WAIT_FOR_DETACH)(migrate)) ||
          (admits && inPhase(['Reserving'])(migrate)),
      );
    },

    /** An agent that came or went concerns the migrations from and to its node; room, those without a target. */
    localStorageNode(open: Migrates, name: string, now: LocalStorageNode | undefined, before: LocalStorageNode | undefined): Migrates {
      const agentChanged = now?.status?.state !== before?.status?.state;
      const roomier = now !== undefined && hasMoreRoom(now, before);
      return open.filter(
        (migrate) =>
          (agentChanged && [migrate.spec.sourceNode, migrate.status?.target?.node].includes(name)) ||
          ((agentChanged || roomier) && inPhase(['Reserving'])(migrate)),
      );
    },

    /** What somebody says about the moves of a volume, which binds the others of its pods: rare, and so told to all. */
    wish(open: Migrates, now: Wishing | undefined, before: Wishing | undefined): Migrates {
      return moveWish(now) === moveWish(before) ? [] : open;
    },

    /** How far another volume is that leaves together with its own: who is ready waits for it, and all are taken back with it. */
    companion(open: Migrates, now: LocalVolumeMigrate | undefined, before: LocalVolumeMigrate | undefined): Migrates {
      if (!now || same(progressForOthers(now), progressForOthers(before))) return [];
      const others = new Set(companionsOf(stores, now.spec.volumeName, now.spec.sourceNode).map(({ metadata }) => metadata.name));
      const isConcerned = isTakenBack(now) ? () => true : inPhase(['AwaitingDetach']);
      return open.filter(isConcerned).filter(({ spec }) => spec.sourceNode === now.spec.sourceNode && others.has(spec.volumeName));
    },

    /** The volume's own objects. */
    object(open: Migrates, volume: string | undefined): Migrates {
      return open.filter(inPhase(MAY_WAIT_FOR_OBJECTS)).filter(({ spec }) => spec.volumeName === volume);
    },
  };
}

const inPhase =
  (phases: readonly Phase[]) =>
  ({ status }: LocalVolumeMigrate): boolean =>
    phases.includes(status?.phase ?? 'Pending');

/** All of a migration that the others of its pods go by. */
function progressForOthers(migrate: LocalVolumeMigrate | undefined): unknown {
  const { phase, proven, target, pointOfNoReturn, abortedByPerson } = migrate?.status ?? {};
  return [phase, proven, target?.node, pointOfNoReturn, abortedByPerson];
}

/** A reservation that is made, or a volume that comes, helps nobody: only what frees room is told. */
function hasMoreRoom(now: LocalStorageNode, before: LocalStorageNode | undefined): boolean {
  if (!before) return true;
  const pools = Object.entries(now.status?.pools ?? {});
  const freed = pools.some(([name, pool]) => {
    const old = before.status?.pools?.[name];
    return (
      !old || pool.freeCapacityBytes > old.freeCapacityBytes || pool.freeVolumeCount > old.freeVolumeCount || hasMoreThinRoom(pool, old)
    );
  });
  const reserved = reservationsOf(now);
  return freed || [...reservationsOf(before).keys()].some((volume) => !reserved.has(volume));
}

function hasMoreThinRoom(now: Pool, before: Pool): boolean {
  return thinPoolsOf(now).some(({ name, size, dataPercent, totalProvisionedSize }) => {
    const old = thinPoolsOf(before).find((thinPool) => thinPool.name === name);
    return !old || size > old.size || Number(dataPercent) < Number(old.dataPercent) || totalProvisionedSize < old.totalProvisionedSize;
  });
}

/** All that decides whether new volumes and their pods may go to a node. */
function admission(node: Node | undefined): unknown {
  const conditions = node?.status?.conditions?.map(({ type, status }) => [type, status]);
  const { unschedulable = false, taints = [] } = node?.spec ?? {};
  return [unschedulable, taints, node?.metadata.labels ?? {}, conditions, node?.status?.allocatable?.pods];
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a ?? []) === JSON.stringify(b ?? []);
}

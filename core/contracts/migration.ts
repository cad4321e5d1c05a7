/**
 * What a migration is, as workflows, cluster activities and node activities tell it to each other. Types only: ids and numbers, never objects
 * or secrets, because all of it stands in Temporal's history.
 */
import type { Trigger } from './names.ts';
import type { Phase } from './phases.ts';

/** Names one migration: its LocalVolumeMigrate and the volume (a LocalVolume and the logical volume of the same name). */
export interface MigrationRef {
  readonly name: string;
  readonly uid: string;
  readonly volume: string;
}

export interface MirrorEnd {
  readonly node: string;
  /** IPv4 address in the storage network. */
  readonly storageAddress: string;
}

/** The mirror a migration wants: everything both ends must agree on before their ports are known. */
export interface Mirror {
  readonly migration: MigrationRef;
  /** The volume group, of the same name on both nodes. */
  readonly pool: string;
  /** Exact size of the source's logical volume. */
  readonly sizeBytes: number;
  readonly source: MirrorEnd;
  readonly target: MirrorEnd;
  /**
   * Rises by one whenever the mirror begins anew (the source lost it from its kernel): new metadata on both ends, new ports, a new secret, a full
   * sync. Within one pairing metadata is never made twice, so a sync resumes from its bitmap.
   */
  readonly pairing: number;
}

/** Where one end of a mirror listens, allocated by that end's agent. */
export interface MirrorEndpoint {
  readonly port: number;
  readonly minor: number;
  /** Of the device the logical volume lies on. */
  readonly logicalBlockSizeBytes: number;
  /** Of the source, whose volume is thin: the target's is made in the thin pool of the same name. */
  readonly thin?: ThinVolume;
}

/** How a thin logical volume lies in its thin pool. */
export interface ThinVolume {
  readonly pool: string;
  /** At most what it has taken of the pool; its whole size where LVM cannot tell, as while a mirror is in. */
  readonly allocatedBytes: number;
  /** The unit in which the pool gives space. */
  readonly chunkBytes: number;
}

/** Sectors (512 bytes) written and discarded so far: fields 7 and 14 of a block device's `stat`. */
export interface WriteCounters {
  readonly writtenSectors: number;
  readonly discardedSectors: number;
}

export interface SyncProgress {
  readonly totalBytes: number;
  readonly syncedBytes: number;
  readonly outOfSyncBytes: number;
  readonly bytesPerSecond: number;
  /** It has yet to begin: what it waits for, in words. */
  readonly waitsFor?: string;
}

/** How many syncs may run at once. */
export interface TurnLimits {
  /** In which one node takes part, as source or as target. */
  readonly perNode: number;
  readonly perCluster: number;
}

/** A migration wants to sync. */
export interface TurnRequest {
  readonly volume: string;
  readonly source: string;
  readonly target: string;
  /** There is a pod that names its claim, and waits. */
  readonly hasUsers?: true;
}

export interface MigrateVolumeInput {
  readonly volume: string;
  readonly sourceNode: string;
  readonly trigger: Trigger;
  /** The LocalVolumeMigrate that somebody made: it becomes the record, and no other is opened. */
  readonly request?: { readonly name: string; readonly uid: string };
}

export type MigrationOutcome = 'Completed' | 'Aborted' | 'NothingToMove';

/** What a migration tells its followers at its end. */
export interface MigrationEnded {
  readonly volume: string;
  /** A follower that wants another node left knows by it that its own move has yet to begin. */
  readonly sourceNode: string;
  readonly outcome: MigrationOutcome;
  /** A person asked for the abort: the volume stays until its node is uncordoned. */
  readonly abortedByPerson: boolean;
}

/** Why a volume stays where it is. */
export interface Stay {
  /** kept: somebody wants it so. refused: it is one that Rehome must not move. */
  readonly kind: 'kept' | 'refused';
  /** In words. */
  readonly why: string;
}

export interface EvictNodeInput {
  readonly node: string;
}

export interface EvictPodInput {
  /** It may be gone by now. */
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Where it ran: its volumes go to another one. */
  readonly node: string;
  /** By name, the claims of the pod that carry the mark of its eviction. */
  readonly claims: readonly string[];
}

/** Answer to the query `progress` of a migration. */
export interface MigrationProgress {
  readonly volume: string;
  readonly phase: Phase;
  readonly sourceNode: string;
  readonly targetNode?: string;
  readonly message: string;
}

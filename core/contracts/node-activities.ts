/**
 * What a node's agent does for a migration. Every step is an *ensure*: it looks first, acts on the difference, and may be called again at will,
 * after a crash at any instant and by a later attempt. All but observeVolume read the LocalVolumeMigrate themselves and refuse (NotPermitted) unless
 * it names this migration, this node in that role, one of the phases given here, and the mirror that is asked for; in an abort, of any pairing.
 *
 * Errors are ApplicationFailures whose type is a reason of `reasons.ts`.
 */
import type { Mirror, MirrorEndpoint, SyncProgress, ThinVolume, WriteCounters } from './migration.ts';

export type MirrorRole = 'source' | 'target';

/** What stands on a node for one volume, read from LVM, device mapper and the kernel's DRBD. */
export interface NodeVolumeFacts {
  readonly volumeGroupFound: boolean;
  /** Of the volume group: the unit in which its logical volumes are made. */
  readonly extentSizeBytes?: number;
  readonly logicalVolume?: {
    readonly sizeBytes: number;
    /** The kinds of target in LVM's own description, each once: linear, striped, thin, raid1 … */
    readonly segmentTypes: readonly string[];
    readonly hasSnapshots: boolean;
    /** A disk that it lies on is missing. */
    readonly partial?: boolean;
    /** What LVM calls its origin: what a snapshot was taken of, or what lies beneath a cache. */
    readonly origin?: string;
    readonly thin?: ThinVolume;
    /** Active: its device exists. */
    readonly active: boolean;
    /** Somebody holds the device open (mounted, or open as a block device); the mirror itself does not count. */
    readonly open: boolean;
    readonly logicalBlockSizeBytes: number;
    /** uid of the migration whose tag it carries (a target volume made by it). */
    readonly migrationUid?: string;
    /** uid of the migration that passed its point of no return with this volume. */
    readonly cutOverBy?: string;
  };
  /** The mirror's end on this node, where its metadata volume stands. */
  readonly mirror?: {
    readonly migrationUid: string;
    readonly pairing: number;
    /** DRBD's device exists in the kernel. False after a reboot. */
    readonly attached: boolean;
    /** On the source: the volume's device leads through the mirror. */
    readonly inserted: boolean;
    /** closeSource has closed the volume. undefined: an older agent does not say. */
    readonly closed?: boolean;
  };
}

export interface TargetMirror {
  /** The pool from which the volume on the target is fed, where it has no room left: writes to it wait, and then fail. */
  readonly fullThinPool?: string;
}

export interface SourceMirror {
  /** Counters at insertion of the volume's own device and of the mirror: idle, both must have grown alike when the mirror is taken out. */
  readonly base: { readonly volume: WriteCounters; readonly mirror: WriteCounters };
}

/**
 * How a wait for the sync ended.
 * synced: Connected, UpToDate/UpToDate, out-of-sync 0, the mirror in place. peerLost: no connection for a while, or a sync that is paused or stands
 * still; the target's end wants to be ensured again. bypassed: the volume's device no longer leads through the mirror. sourceLost: the kernel has no
 * such mirror (reboot).
 */
export type SyncOutcome =
  | { readonly kind: 'synced'; readonly progress: SyncProgress }
  | { readonly kind: 'peerLost' | 'bypassed' | 'sourceLost'; readonly message: string };

export interface VerifyReport {
  /** The pass began where it was to, ended by itself, and the connection was never seen broken meanwhile. */
  readonly completed: boolean;
  readonly outOfSyncBytes: number;
  /** Connected, UpToDate/UpToDate when it ended. */
  readonly healthy: boolean;
  /** By either end. undefined: the source's DRBD is 8.4, which leaves nothing out and does not hear what the target's does. */
  readonly skipped?: SkippedRanges;
}

/** Sectors of 512 bytes. */
export interface SectorRange {
  readonly startSector: number;
  readonly sectors: number;
}

/**
 * What a verify of DRBD 9 read and did not compare, because it was being written just then. unknown: the kernel's log, which alone tells, does not
 * reach back far enough.
 */
export type SkippedRanges = readonly SectorRange[] | 'unknown';

export interface TargetCounter {
  /** KiB that DRBD has read from the target's device since attach: a verify adds exactly what it covers. */
  readonly readKib: number;
  /** DRBD 9: where the record of what verifies leave out stands, for the request after the verify. */
  readonly logPosition?: number;
  /** DRBD 9: by this end, since the position that was asked about. */
  readonly skipped?: SkippedRanges;
}

/** Facts for the pure detach test: is everything that was written to the volume in the mirror? */
export interface DetachFacts {
  /** The volume's device leads through the mirror, or closeSource has removed it. */
  readonly inserted: boolean;
  readonly open: boolean;
  readonly connectedUpToDate: boolean;
  readonly outOfSyncBytes: number;
  readonly volume: WriteCounters;
  readonly mirror: WriteCounters;
  readonly base: SourceMirror['base'];
}

export interface NodeActivities {
  /** control. Reads only. */
  observeVolume(request: { readonly volume: string; readonly pool: string }): Promise<NodeVolumeFacts>;

  /**
   * control, phases Preparing, Syncing, Verifying, CuttingOver. Makes this end's metadata volume (tagged with pairing, port, minor), where the volume
   * group is full a file, and says where it listens. What an earlier pairing of the same migration has is replaced. @throws NoFreePort, NoFreeMinor.
   */
  allocateEndpoint(request: { readonly mirror: Mirror; readonly role: MirrorRole }): Promise<MirrorEndpoint>;

  /**
   * control, target, phases Preparing, Syncing, Verifying, AwaitingDetach, CuttingOver. The logical volume, fresh metadata once a pairing, attached and
   * listening. @param request.inUse somebody writes to the volume on its source, and is not to be held up.
   * @throws LogicalVolumeConflict, NoSuchThinPool, PoolFull, BlockSizeTooLarge.
   */
  ensureTargetMirror(request: {
    readonly mirror: Mirror;
    readonly sourceEndpoint: MirrorEndpoint;
    readonly inUse?: boolean;
  }): Promise<TargetMirror>;

  /**
   * control, source, phases Preparing, Syncing, Verifying, before the point of no return. DRBD beneath the volume, in the order that cannot overwrite
   * the source; waits a while for the target's end, and returns with the sync started. @throws MirrorNotReady, SnapshotOnVolume, TableNotSupported.
   */
  ensureSourceMirror(request: { readonly mirror: Mirror; readonly targetEndpoint: MirrorEndpoint }): Promise<SourceMirror>;

  /**
   * sync, source, phases Syncing, Verifying, AwaitingDetach, CuttingOver. Heartbeats SyncProgress; returns when synced or when it cannot go on by
   * itself. A volume that closeSource has closed is not bypassed.
   */
  awaitSync(request: { readonly mirror: Mirror }): Promise<SyncOutcome>;

  /**
   * control, target, phases Verifying, CuttingOver; AwaitingDetach for a copy that waits. Before a verify, after it, and whenever the target was
   * away. @param request.logPosition what it answered before the verify.
   */
  readTargetCounter(request: { readonly mirror: Mirror; readonly logPosition?: number }): Promise<TargetCounter>;

  /** sync, source, phases Verifying, CuttingOver. One verify of the whole device, or of these ranges one by one; heartbeats SyncProgress. Repairs nothing. */
  verifyMirror(request: { readonly mirror: Mirror; readonly ranges?: readonly SectorRange[] }): Promise<VerifyReport>;

  /**
   * control, source, phases Verifying, CuttingOver, before the point of no return. Differences that a verify found are sent again; returns when the
   * resync has started.
   */
  repairMirror(request: { readonly mirror: Mirror }): Promise<void>;

  /**
   * control, destructive, source, phase CuttingOver, before the point of no return. Removes the volume's device where the detach test on the facts it
   * returns allows that: from here nobody can write. @throws VolumeInUse where somebody opened it in that instant.
   */
  closeSource(request: { readonly mirror: Mirror }): Promise<DetachFacts>;

  /**
   * control, both ends, destructive, phase CuttingOver. The source's durable tag is the point of no return; the target's follows once the
   * LocalVolumeMigrate tells it, also where the source's mirror has gone since. @throws MirrorNotReady where the copy is not whole, or the source not closed.
   */
  markCutOver(request: { readonly mirror: Mirror; readonly role: MirrorRole }): Promise<void>;

  /**
   * sync, phase CuttingOver. SHA-256 (hex) of the whole device: on the source beneath the closed mirror, on the target of the logical volume once the
   * mirror is down. Without one where the source's mirror was taken down already. Heartbeats.
   */
  hashVolume(request: { readonly mirror: Mirror; readonly role: MirrorRole }): Promise<{ readonly sha256?: string }>;

  /**
   * control, destructive, phase CuttingOver, past the point of no return. Secondary, down; the mirror's devices gone; on the target the volume is
   * plain and active. Metadata volumes go too.
   */
  dissolveMirror(request: { readonly mirror: Mirror; readonly role: MirrorRole }): Promise<void>;

  /** control, destructive, source, phase RemovingSource, past the point of no return. The source's logical volume goes. */
  removeSource(request: { readonly mirror: Mirror }): Promise<void>;

  /**
   * control, target, phase RemovingSource, past the point of no return. Its disk is flushed, and the tags of the migration go: what is left is a
   * plain volume.
   */
  releaseTarget(request: { readonly mirror: Mirror }): Promise<void>;

  /**
   * control, source, destructive, phase Aborting, or Preparing for a target that is given up; never past the point of no return. The exact state from
   * before. @param request.deleted nobody wants the volume any more: it need not be there. @throws PointOfNoReturnPassed, LogicalVolumeMissing, DiskMissing,
   * SourceDiskLost
   */
  restoreSource(request: { readonly mirror: Mirror; readonly deleted?: true }): Promise<void>;

  /**
   * control, target, destructive, phase Aborting, or Preparing for a target that is given up; never past the point of no return. What this migration
   * made here goes. @throws PointOfNoReturnPassed.
   */
  discardTarget(request: { readonly mirror: Mirror }): Promise<void>;
}

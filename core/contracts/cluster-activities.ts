/**
 * What the controller does for a migration: everything that is read from or written to Kubernetes. Reads come from the watchers' stores, never
 * from a poll of the API server; what allows a destructive step is read live by the agent.
 */
import type {
  EvictPodInput,
  MigrateVolumeInput,
  MigrationEnded,
  MigrationRef,
  MirrorEnd,
  Stay,
  ThinVolume,
  TurnLimits,
  TurnRequest,
} from './migration.ts';
import type { Trigger } from './names.ts';
import type { Phase } from './phases.ts';
import type { EventReason, Refusal } from './reasons.ts';

/** A pod that uses a volume through its claim. */
export interface VolumeUser {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node?: string;
}

/** What the objects say of a volume, at one look. */
export interface VolumeFacts {
  /** undefined: no such LocalVolume. */
  readonly localVolume?: {
    readonly pool: string;
    readonly requiredCapacityBytes: number;
    /** What was allocated when the volume was made or last expanded; undefined: nobody has said. */
    readonly allocatedCapacityBytes?: number;
    readonly convertible: boolean;
    readonly replicaNodes: readonly string[];
  };
  /** The replica on the source node. */
  readonly sourceReplica?: { readonly name: string };
  readonly source?: MirrorEnd;
  /** Why the move is wanted no longer ("uncordoned", "label … disable", "deleted", "is kept"); undefined: it is wanted. */
  readonly unwanted?: string;
  /** What still holds the volume on its source according to the API, in words ("pod default/db-0", "node.status.volumesInUse"); empty: free. */
  readonly heldBy: readonly string[];
  /** There is a pod that names its claim, wherever it runs or waits. */
  readonly hasUsers?: true;
  /** Its users need not go before the copy is made. */
  readonly online?: true;
  /** Of the nodes concerned: false where the agent's Lease has run out. */
  readonly agentAlive: Readonly<Record<string, boolean>>;
  /** 0 to 100, of the sync or verify that runs; undefined: none does, or not known yet. */
  readonly percent?: number;
  /** What the other volumes that move with it mean for the move; undefined: there are none, or there is no migration yet. */
  readonly companions?: CompanionsVerdict;
}

/** What the other volumes that move with a volume mean for its move. */
export interface CompanionsVerdict {
  /** Those that are not ready to leave with it, and why, in words. */
  readonly awaits: readonly string[];
  /** One whose move is taken back, and why. */
  readonly takenBackWith?: { readonly volume: string; readonly byPerson: boolean; readonly message: string };
  /** One that has passed its point of no return: this one follows it, whether it is wanted or not. */
  readonly follows?: string;
  /** One that goes to another node, to which this one is to go as well. */
  readonly joins?: { readonly volume: string; readonly node: string };
}

/** A migration's durable state, kept in its LocalVolumeMigrate. */
export interface MigrationRecord {
  readonly ref: MigrationRef;
  /** `spec.sourceNode`: what the run is about, even where its input says another node. */
  readonly sourceNode: string;
  readonly phase: Phase;
  readonly pointOfNoReturn: boolean;
  readonly target?: MirrorEnd;
  readonly pairing?: number;
  readonly sizeBytes?: number;
  readonly pool?: string;
  readonly source?: MirrorEnd;
  readonly abortedByPerson: boolean;
  /** While the phase is NeedsAttention: the one that it interrupted. */
  readonly parkedIn?: Exclude<Phase, 'NeedsAttention'>;
  /** Reported in cut-over by a run that did not get to the comparison. */
  readonly sourceSha256?: string;
  /** The controller's configuration wants both devices hashed before a PersistentVolume is changed. */
  readonly hashCheck: boolean;
}

export interface PhaseReport {
  readonly ref: MigrationRef;
  readonly phase: Phase;
  /** One sentence for people: what happens, or why it waits. */
  readonly message: string;
  /** Stable word for why it waits or is parked; without it the Event's. */
  readonly reason?: string;
  /** Kept in HwameiStor's word while parked. */
  readonly parkedIn?: Exclude<Phase, 'NeedsAttention'>;
  /** An Event with this reason on migration, volume, claim and node. */
  readonly event?: EventReason;
  readonly target?: MirrorEnd;
  readonly pairing?: number;
  readonly sizeBytes?: number;
  readonly pool?: string;
  readonly source?: MirrorEnd;
  /** Written once the source is marked, before anything is taken apart; never taken back. */
  readonly pointOfNoReturn?: true;
  /** A whole verify has found no difference: the volume may leave with those that move with it. */
  readonly proven?: boolean;
  readonly sourceSha256?: string;
  readonly targetSha256?: string;
  readonly abortedByPerson?: boolean;
  readonly refusals?: Readonly<Record<string, Refusal>>;
  /** Suggested nodes that cannot be the target. */
  readonly unfit?: Readonly<Record<string, Refusal>>;
}

export interface ReserveRequest {
  readonly ref: MigrationRef;
  readonly sourceNode: string;
  readonly pool: string;
  readonly sizeBytes: number;
  readonly thin?: ThinVolume;
  /** Logical block size of the source's device; a larger one on the target is refused by its agent, after which the node stands in `givenUp`. */
  readonly givenUp: Readonly<Record<string, Refusal>>;
}

export type ReserveResult =
  | { readonly kind: 'reserved'; readonly target: MirrorEnd; readonly unfit?: Readonly<Record<string, Refusal>> }
  | { readonly kind: 'refused'; readonly refusals: Readonly<Record<string, Refusal>> };

/** A node's eviction at one look. */
export interface NodeEvictionFacts {
  readonly exists: boolean;
  readonly cordoned: boolean;
  /** Label `hwameistor.io/eviction=disable`. */
  readonly disabled: boolean;
  readonly volumes: readonly {
    readonly volume: string;
    /** A person aborted its move since the node was cordoned, or that of another volume that moves with it. */
    readonly held: boolean;
    /** It is not to move at all. */
    readonly stays?: Stay;
  }[];
  /** Nothing is begun before the node has been cordoned for so long: it may only be restarted. */
  readonly delaySeconds?: number;
  /** Migrations away from this node that have not ended, by volume. */
  readonly running: readonly RunningMigration[];
}

export interface RunningMigration {
  readonly volume: string;
  readonly phase: Phase;
  readonly target?: string;
  readonly message: string;
  readonly percent?: number;
}

/** A pod's eviction at one look. */
export interface PodEvictionFacts {
  /** Why nothing is to move because of this pod; undefined: it is. */
  readonly unwanted?: string;
  /** Of the pod's claims. */
  readonly volumes: readonly {
    readonly volume: string;
    readonly onNode: boolean;
    /** Somebody has taken the pod's mark off its claim. */
    readonly unmarked?: true;
    /** It is not to move at all. */
    readonly stays?: Stay;
  }[];
  /** The migrations that have not ended of those whose claims carry the mark. */
  readonly running: readonly EvictedMigration[];
}

export interface EvictedMigration extends RunningMigration {
  readonly pointOfNoReturn: boolean;
  /** Stable word for why it waits. */
  readonly reason?: string;
  /** Of the sync or verify that ran last: copied, or compared. */
  readonly syncedBytes?: number;
}

export interface ClusterActivities {
  observeVolume(request: MigrateVolumeInput & { readonly ref?: MigrationRef }): Promise<VolumeFacts>;
  /**
   * The volume's LocalVolumeMigrate that runs; else the one that was asked for, or a new one. @throws SourceReplicaMissing where another run has moved
   * the volume meanwhile, RequestWithdrawn where nobody asks any more.
   */
  openMigration(request: MigrateVolumeInput): Promise<MigrationRecord>;
  /** The open migration of the volume, if there is one; else nothing. Opens none. Read live: a store that lags would revive one that has ended. */
  findMigration(request: { readonly volume: string }): Promise<MigrationRecord | undefined>;
  /** Phase, message and facts go into the LocalVolumeMigrate's status; the first entry into each phase is timed there. */
  reportPhase(report: PhaseReport): Promise<void>;
  /** Plans and reserves in one compare-and-swap; a reservation that stands is kept. */
  reserveTarget(request: ReserveRequest): Promise<ReserveResult>;
  releaseReservation(request: { readonly ref: MigrationRef }): Promise<void>;
  /** Target replica, LocalVolume and PersistentVolume say the new node; repeatable after a crash at any instant. @throws PersistentVolumeRefused. */
  switchObjects(request: {
    readonly ref: MigrationRef;
    readonly sourceNode: string;
    readonly target: MirrorEnd;
    readonly sizeBytes: number;
    readonly pool: string;
  }): Promise<void>;
  /** Asks for a turn to sync; the answer is a signal. @returns the limits that are in force. */
  requestTurn(request: TurnRequest): Promise<TurnLimits>;
  /** Gives a turn back, or the place in the queue for one. */
  releaseTurn(request: { readonly volume: string }): Promise<void>;
  /** The source's LocalVolumeReplica goes, and the reservation on the target. */
  removeSourceReplica(request: { readonly ref: MigrationRef; readonly sourceNode: string }): Promise<void>;

  observeNodeEviction(request: { readonly node: string }): Promise<NodeEvictionFacts>;
  /** Starts the volume's migration or joins the one that runs; `follower` hears of its end. */
  startMigration(request: MigrateVolumeInput & { readonly follower: string; readonly trigger: Trigger }): Promise<void>;
  /** Of these volumes, those whose migration workflow no longer runs: its end was not heard, or it was terminated (outcome Aborted, by no person). */
  findEndedMigrations(request: { readonly volumes: readonly string[] }): Promise<readonly MigrationEnded[]>;
  /** The node was seen uncordoned: volumes of it whose move a person aborted may move again (annotation hold-released). */
  releaseHolds(request: { readonly node: string }): Promise<void>;
  reportNodeEviction(request: { readonly node: string; readonly event: EventReason; readonly message: string }): Promise<void>;

  observePodEviction(request: EvictPodInput): Promise<PodEvictionFacts>;
  /** An Event on pod, claims and node. */
  reportPodEviction(request: EvictPodInput & { readonly event: EventReason; readonly message: string }): Promise<void>;
  /** The pod's label says that its eviction has ended, if the pod is still there; then its mark leaves the claims: what is not moved yet stays. */
  endPodEviction(request: EvictPodInput): Promise<void>;
}

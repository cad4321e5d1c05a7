/**
 * Names that several processes must agree on: API group, labels, annotations, tags, workflow ids, task queues, signals, search attributes.
 *
 * Free of zod: workflows import this module, and each cached workflow pays for every module it loads.
 */

/** HwameiStor's API group and version: its objects are the contract with its users. */
export const API_GROUP = 'hwameistor.io';
export const API_VERSION = 'v1alpha1';

/** The CSI driver of HwameiStor's PersistentVolumes; the volume handle is the LocalVolume's name. */
export const CSI_DRIVER = 'lvm.hwameistor.io';
/** The topology key that HwameiStor's CSI driver publishes for a node; its value is the node's name. */
export const TOPOLOGY_KEY = 'topology.lvm.hwameistor.io/node';

/** The Lease that HwameiStor's own controller holds while it lives. Both controllers at once would act on the same objects. */
export const HWAMEISTOR_LEASE = 'hwameistor-local-storage-master';
export const CONTROLLER_LEASE = 'rehome-controller';
/** The Lease that a node's agent renews in Rehome's namespace. */
export const agentLease = (node: string): string => `rehome-agent-${node}`;

export const Label = {
  /**
   * HwameiStor's contract. On a node `disable` keeps its volumes where they are. On a pod `start` has its volumes move to another node once it is deleted
   * or evicted, and becomes `completed` when that has ended, if the pod is still there.
   */
  eviction: 'hwameistor.io/eviction',
  /** On a LocalVolumeMigrate: the volume it moves. */
  volume: 'rehome.io/volume',
  /** On a LocalVolumeMigrate: what started it, a {@link Trigger}. */
  trigger: 'rehome.io/trigger',
} as const;

export const Annotation = {
  /** On a LocalStorageNode, one for each volume that is on its way there: JSON of {@link Reservation}. */
  reservation: (volume: string): string => `rehome.io/reserve-${volume}`,
  reservationPrefix: 'rehome.io/reserve-',
  /** On an Aborted LocalVolumeMigrate that a person aborted: set once its node was uncordoned, so that a later cordon may move the volume. */
  holdReleased: 'rehome.io/hold-released',
  /** On a Node or a LocalVolume, `true`: its volumes are copied while pods use them, and only the last step waits for the pods to go. */
  online: 'rehome.io/online',
  /** On a LocalVolume or its claim: `never` keeps the volume where it is; `always` lets one go that would be refused, see `core/domain/stay.ts`. */
  move: 'rehome.io/move',
  /** On a claim, one for each pod because of whose eviction its volume is to leave a node, by the pod's uid: JSON of {@link EvictionMark}. */
  evictionMark: (uid: string): string => `rehome.io/evict-${uid}`,
  evictionMarkPrefix: 'rehome.io/evict-',
  /** On a LocalVolumeMigrate, `need` (default) or `forbid`: whether its target must be one that the volume's pods may run on. HwameiStor's. */
  replicaAffinity: 'hwameistor.io/replica-affinity',
  /** On a LocalVolumeMigrate that was made because another asked for all volumes of a pod: the name of that one. */
  movesWith: 'rehome.io/moves-with',
} as const;

/** On a LocalVolumeMigrate from the moment it is begun until nothing of it is left on any node: deleted before, it is aborted first. */
export const MIGRATION_FINALIZER = 'rehome.io/migration';

/** Keeps a pod from being scheduled until its volumes are where they are going to be. */
export const SCHEDULING_GATE = 'rehome.io/volume-moves';

/** The kinds of cause a migration can have: its node is cordoned; a pod that uses it was evicted; somebody made a LocalVolumeMigrate. */
export type Trigger = 'node-drain' | 'pod-eviction' | 'migrate-request';

/** Tags on logical volumes, each `key=value`. They are the part of a migration's state that survives the loss of everything else. */
export const Tag = {
  /** On every logical volume that a migration made or holds: the uid of its LocalVolumeMigrate. */
  migration: 'rehome.io/migration',
  /** On a metadata volume: the volume whose mirror it serves. */
  volume: 'rehome.io/volume',
  pairing: 'rehome.io/pairing',
  port: 'rehome.io/port',
  minor: 'rehome.io/minor',
  /** On a metadata volume: DRBD's metadata was written for this pairing. */
  metadataReady: 'rehome.io/metadata-ready',
  /** On the source's metadata volume: the write counters at insertion, see WriteCounters. */
  writeBase: 'rehome.io/write-base',
  /** On a metadata volume: where the other end of the mirror listens. */
  peerPort: 'rehome.io/peer-port',
  /** On the source's metadata volume: the volume's write counters when its device was removed, which took them along. */
  volumeAtClose: 'rehome.io/volume-at-close',
  /** On source and target volume: the point of no return was passed by this migration uid. */
  cutOver: 'rehome.io/cut-over',
} as const;

export const workflowId = {
  /** The id is the lock: at most one migration of a volume runs. */
  migrateVolume: (volume: string): string => `migrate-${volume}`,
  evictNode: (node: string): string => `evict-node-${node}`,
  evictPod: (uid: string): string => `evict-pod-${uid}`,
  limitSyncs: 'limit-syncs',
} as const;

export const WorkflowType = {
  migrateVolume: 'migrateVolume',
  evictNode: 'evictNode',
  evictPod: 'evictPod',
  limitSyncs: 'limitSyncs',
} as const;

export const CONTROLLER_TASK_QUEUE = 'rehome-controller';
/** Short, idempotent steps. */
export const controlTaskQueue = (node: string): string => `node-${node}-control`;
/** Waits of minutes to hours: sync, verify, hash. */
export const syncTaskQueue = (node: string): string => `node-${node}-sync`;

export const SignalName = {
  /** To a migration: this workflow id wants to hear when the migration ends. */
  follow: 'follow',
  /** From a migration to its followers: {@link MigrationEnded}. */
  migrationEnded: 'migrationEnded',
  /** To a migration: the world changed, look again. */
  lookAgain: 'lookAgain',
  /** To a node's eviction: the node or its volumes changed, look again. */
  nodeChanged: 'nodeChanged',
  /** To a pod's eviction: the pod, its claims or its node changed, look again. */
  podChanged: 'podChanged',
  /** From a migration: it wants to sync, a {@link TurnRequest} and the limits. */
  requestTurn: 'requestTurn',
  /** From a migration: this volume syncs no more. */
  releaseTurn: 'releaseTurn',
  /** To a migration: it may sync to this node. */
  turnGranted: 'turnGranted',
  /** From people: go on with a parked step. */
  retry: 'retry',
  /** From people: take the volume's move back, if it has not begun to cut over. */
  abort: 'abort',
} as const;

export const SearchAttribute = {
  sourceNode: 'SourceNode',
  targetNode: 'TargetNode',
  volume: 'Volume',
  phase: 'MigrationPhase',
  trigger: 'Trigger',
} as const;

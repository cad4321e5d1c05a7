/**
 * Every reason that people, alerts and programs see, in one list: types of errors, reasons of Events and conditions, refusals of placement.
 * Stable: add to it, never reword.
 */

/** Why a node is no target for a volume. */
export const REFUSALS = [
  'SourceNode',
  'NodeNotReady',
  'NodeUnderPressure',
  'NodeUnschedulable',
  'NodeTainted',
  'AgentNotReady',
  'NodeSelectorMismatch',
  'PodAffinityMismatch',
  'PodAntiAffinityMismatch',
  'PodCountReached',
  'AttachmentCountReached',
  'NotAccessible',
  'HasReplica',
  'OtherVolumesElsewhere',
  'NoRoomForOtherVolumes',
  'NoSuchNode',
  'NoSuchPool',
  'NoSuchThinPool',
  'PoolFull',
  'ThinPoolOvercommitted',
  'VolumeCountReached',
  'CapacityLimitReached',
  'BlockSizeTooLarge',
  'GivenUp',
  'TargetLost',
  'LogicalVolumeConflict',
  'LogicalVolumeSizeMismatch',
  'DrbdNotSupported',
  'NoFreePort',
  'NoFreeMinor',
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** Types of errors that are not retried: something a person, or the next look at the world, has to change. */
export const PERMANENT_ERRORS = [
  'InvalidArgument',
  'VolumeGroupUnknown',
  'LogicalVolumeMissing',
  'LogicalVolumeSizeMismatch',
  'LogicalVolumeConflict',
  'DiskMissing',
  'SourceDiskLost',
  'SnapshotOnVolume',
  'TableNotSupported',
  'NoSuchThinPool',
  'ReplicatedVolumeNotSupported',
  'DrbdNotSupported',
  'BlockSizeTooLarge',
  'NotPermitted',
  'StaleActivity',
  'PointOfNoReturnPassed',
  'SourceWritten',
  'PersistentVolumeRefused',
  'HashMismatch',
  'LocalVolumeMissing',
  'SourceReplicaMissing',
  'RequestWithdrawn',
] as const;
export type PermanentError = (typeof PERMANENT_ERRORS)[number];

/** Why a LocalVolumeMigrate that somebody made is not begun. */
export const REQUEST_REFUSALS = [
  'LocalVolumeMissing',
  'StorageNodeMissing',
  'SourceReplicaMissing',
  'OtherVolumesBound',
  'VolumeStays',
] as const;
export type RequestRefusal = (typeof REQUEST_REFUSALS)[number];

/** Types of errors worth another attempt. */
export const TRANSIENT_ERRORS = [
  'CommandFailed',
  'VolumeInUse',
  'MirrorNotReady',
  'MirrorBypassed',
  'VerifyIncomplete',
  'PoolFull',
  'NoFreePort',
  'NoFreeMinor',
  'ApiUnavailable',
  'ApiRefused',
  'LockTimeout',
] as const;
export type TransientError = (typeof TRANSIENT_ERRORS)[number];

/** Reasons of Events on node, pod, claim, LocalVolume and LocalVolumeMigrate. */
export const EVENT_REASONS = [
  'EvictionDelayed',
  'EvictionStarted',
  'EvictionCompleted',
  'EvictionStopped',
  'PodEvictionStarted',
  'PodEvictionCompleted',
  'PodEvictionStopped',
  'WaitingForVolume',
  'MigrationStarted',
  'WaitingForTarget',
  'WaitingForDetach',
  'WaitingForOtherVolumes',
  'WaitingForTurn',
  'TargetReserved',
  'TargetGivenUp',
  'SyncStarted',
  'Verified',
  'CuttingOver',
  'VolumeMoved',
  'MigrationCompleted',
  'MigrationAborted',
  'NeedsAttention',
  'PersistentVolumeRebound',
  'LeftOver',
] as const;
export type EventReason = (typeof EVENT_REASONS)[number];

/** Reasons of the condition Evacuated on a LocalStorageNode. */
export const EVACUATED_REASONS = [
  'NodeNotCordoned',
  'EvictionDisabled',
  'VolumesRemain',
  'MigrationsUnderWay',
  'AgentNotReporting',
  'NothingLeft',
  'KeptVolumesLeft',
] as const;
export type EvacuatedReason = (typeof EVACUATED_REASONS)[number];

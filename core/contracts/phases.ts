/**
 * The phases of a migration and HwameiStor's words for them.
 *
 *   Pending -> Reserving -> AwaitingDetach -> Preparing -> Syncing -> Verifying -> CuttingOver -> RemovingSource -> Completed
 *      any of these before the point of no return -> Aborting -> Aborted
 *      any step that used up its retries -> NeedsAttention -> (retry) the phase it was in | (abort, before the point of no return) Aborting
 *
 * An offline move awaits detach before Preparing. CuttingOver closes the volume and then passes the point of no return: from there a migration only
 * goes forward.
 */

/** In the order above: how far a migration has come is judged by it. */
export const PHASES = [
  'Pending',
  'Reserving',
  'AwaitingDetach',
  'Preparing',
  'Syncing',
  'Verifying',
  'CuttingOver',
  'RemovingSource',
  'Completed',
  'Aborting',
  'Aborted',
  'NeedsAttention',
] as const;
export type Phase = (typeof PHASES)[number];

/** HwameiStor's `status.state`; '' before the first report. */
export const MIGRATE_STATES = [
  '',
  'Submitted',
  'AddReplica',
  'SyncReplica',
  'PruneReplica',
  'Completed',
  'ToBeAborted',
  'Aborted',
] as const;
export type MigrateState = (typeof MIGRATE_STATES)[number];

const STATE_OF_PHASE = {
  Pending: 'Submitted',
  Reserving: 'Submitted',
  AwaitingDetach: 'Submitted',
  Preparing: 'AddReplica',
  Syncing: 'SyncReplica',
  Verifying: 'SyncReplica',
  CuttingOver: 'PruneReplica',
  RemovingSource: 'PruneReplica',
  Completed: 'Completed',
  Aborting: 'ToBeAborted',
  Aborted: 'Aborted',
} as const satisfies Record<Exclude<Phase, 'NeedsAttention'>, MigrateState>;

/** HwameiStor's word for a phase; a parked migration keeps the word of the phase it was parked in (`parkedIn`). */
export function stateOfPhase(phase: Phase, parkedIn: Exclude<Phase, 'NeedsAttention'> = 'Pending'): MigrateState {
  return STATE_OF_PHASE[phase === 'NeedsAttention' ? parkedIn : phase];
}

export const isTerminal = (phase: Phase): boolean => phase === 'Completed' || phase === 'Aborted';

/** What may be said to workflows and asked of them. `retry` and `abort` take no arguments, so that they work from the Web UI. */
import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { MigrationEnded, MigrationProgress, TurnLimits, TurnRequest } from '../core/contracts/migration.ts';
import { SignalName } from '../core/contracts/names.ts';

export const followSignal = defineSignal<[follower: string]>(SignalName.follow);
export const lookAgainSignal = defineSignal(SignalName.lookAgain);
export const retrySignal = defineSignal(SignalName.retry);
export const abortSignal = defineSignal(SignalName.abort);
export const progressQuery = defineQuery<MigrationProgress>('progress');

export const requestTurnSignal = defineSignal<[TurnRequest, TurnLimits]>(SignalName.requestTurn);
export const releaseTurnSignal = defineSignal<[volume: string]>(SignalName.releaseTurn);
export const turnGrantedSignal = defineSignal<[target: string]>(SignalName.turnGranted);

export const nodeChangedSignal = defineSignal(SignalName.nodeChanged);
export const podChangedSignal = defineSignal(SignalName.podChanged);
export const migrationEndedSignal = defineSignal<[MigrationEnded]>(SignalName.migrationEnded);

/** The controller's activities. */
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { findMigration, openMigration } from './migration-record.ts';
import { findEndedMigrations, startMigration } from './migration-workflows.ts';
import { observeNodeEviction, releaseHolds, reportNodeEviction } from './node-eviction.ts';
import { endPodEviction, observePodEviction, reportPodEviction } from './pod-eviction.ts';
import { reportPhase } from './report-phase.ts';
import { releaseReservation, reserveTarget } from './reservation.ts';
import { removeSourceReplica, switchObjects } from './switch-objects.ts';
import { releaseTurn, requestTurn } from './turns.ts';
import { observeVolume } from './volume-facts.ts';

export function createClusterActivities(deps: ClusterDependencies): ClusterActivities {
  return {
    observeVolume: observeVolume(deps),
    openMigration: openMigration(deps),
    findMigration: findMigration(deps),
    reportPhase: reportPhase(deps),
    reserveTarget: reserveTarget(deps),
    releaseReservation: releaseReservation(deps),
    switchObjects: switchObjects(deps),
    removeSourceReplica: removeSourceReplica(deps),
    requestTurn: requestTurn(deps),
    releaseTurn: releaseTurn(deps),
    observeNodeEviction: observeNodeEviction(deps),
    startMigration: startMigration(deps),
    findEndedMigrations: findEndedMigrations(deps),
    releaseHolds: releaseHolds(deps),
    reportNodeEviction: reportNodeEviction(deps),
    observePodEviction: observePodEviction(deps),
    reportPodEviction: reportPodEviction(deps),
    endPodEviction: endPodEviction(deps),
  };
}

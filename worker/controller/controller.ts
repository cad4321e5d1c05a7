/**
 * The controller: watchers, the workflow worker with the cluster activities, and, while it leads, triggers and reconcilers.
 *
 * Any number may run. All of them keep stores, run workflows and look at new pods; the holder of Lease `rehome-controller` acts on triggers too.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Context } from '@temporalio/activity';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createClusterActivities } from '../../activities/cluster/index.ts';
import { createMigrationWorkflows } from '../../activities/cluster/migration-workflows.ts';
import { createStayJudge, type StayJudge } from '../../activities/cluster/stay.ts';
import { createSyncTurns } from '../../activities/cluster/turns.ts';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { ControllerConfiguration } from '../../core/contracts/configuration.ts';
import { CONTROLLER_LEASE } from '../../core/contracts/names.ts';
import { namespaceOfService } from '../../core/domain/stay.ts';
import { EndedMigrationsReconciler } from '../../reconcilers/ended-migrations.ts';
import { EvacuatedReconciler } from '../../reconcilers/evacuated.ts';
import { GatedPodsReconciler } from '../../reconcilers/gated-pods.ts';
import { ReservationsReconciler } from '../../reconcilers/reservations.ts';
import { StorageNodeStateReconciler } from '../../reconcilers/storage-node-state.ts';
import { VolumeStatusReconciler } from '../../reconcilers/volume-status.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { LeaderElection } from '../../system/kube/leader-election.ts';
import { MigrateRequestTrigger } from '../../triggers/migrate-request.ts';
import { NodeDrainTrigger } from '../../triggers/node-drain.ts';
import { reviewPod } from '../../triggers/pod-admission.ts';
import { PodEvictionTrigger } from '../../triggers/pod-eviction.ts';
import { VolumeUsageTrigger } from '../../triggers/volume-usage.ts';
import { createWorkflowSignals } from '../../triggers/workflow-signals.ts';
import { activityInterceptor } from '../activity-interceptor.ts';
import { createEventRecorder } from '../event-recorder.ts';
import { faultPoints } from '../faults.ts';
import { LIVENESS_MILLISECONDS, livenessInterceptor } from '../liveness-interceptor.ts';
import type { Logger } from '../logging.ts';
import { openKube, RefusalError } from '../process.ts';
import { type Close, runUntilStopped, untilAborted } from '../stopping.ts';
import { waitUntil } from '../wait.ts';
import { AdmissionServer } from './admission-server.ts';
import { HwameistorWatch, refuseBesideHwameistor } from './hwameistor.ts';
import { type LeaderTask, LeaderTasks } from './leader-tasks.ts';
import { ensureSearchAttributes } from './search-attributes.ts';
import { ClusterWatchers } from './watchers.ts';

export interface ControllerOptions {
  readonly configuration: ControllerConfiguration;
  readonly logger: Logger;
  /** File with all workflows, made by worker/build.ts. */
  readonly workflowBundle: string;
  /** Ends the controller: what runs is let end, within the grace period. */
  readonly signal: AbortSignal;
}

/** From SIGTERM on; what has not ended then is cancelled, and ends with the process at the latest. */
const SHUTDOWN_GRACE = '15s';
/** More than migrations live at once: a cache that is smaller replays their histories again and again, which costs more memory than it saves. */
const CACHED_WORKFLOWS = 500;
/** Each holds objects of the API server while it waits for the next answer; more at once end no sooner. */
const CONCURRENT_ACTIVITIES = 20;
const FIRST_LISTS_SECONDS = 10;

/** Runs until the signal ends it. @throws {RefusalError} beside a live HwameiStor, before anything is done; and where the worker ends by itself. */
export function runController(options: ControllerOptions): Promise<void> {
  return runUntilStopped(options.signal, (closeAtEnd) => run(options, closeAtEnd));
}

async function run(
  { configuration, logger, workflowBundle, signal }: ControllerOptions,
  closeAtEnd: (close: Close) => void,
): Promise<void> {
  const { namespace, temporalAddress, temporalNamespace } = configuration;
  const wait = { logger, signal };

  const kube = openKube(configuration.kubeconfig, 'rehome-controller');
  closeAtEnd(() => kube.close());
  await waitUntil('the API server', () => refuseBesideHwameistor(kube), { ...wait, isFinal: (error) => error instanceof RefusalError });

  const connection = await waitUntil(`Temporal at ${temporalAddress}`, () => NativeConnection.connect({ address: temporalAddress }), wait);
  closeAtEnd(() => connection.close());
  const prepareTemporal = () => ensureSearchAttributes(connection, temporalNamespace);
  await waitUntil(`search attributes of Temporal's namespace ${temporalNamespace}`, prepareTemporal, wait);
  const client = new Client({ connection, namespace: temporalNamespace });

  const watchers = new ClusterWatchers({ kube, namespace, logger });
  watchers.start();
  closeAtEnd(() => watchers.stop());
  await waitUntil("the API server's objects", () => watchers.waitForSync(FIRST_LISTS_SECONDS), wait);

  const whyStays = createStayJudge({ rehome: namespace, temporal: namespaceOfService(temporalAddress) });
  const parts = { configuration, logger, kube, client, prepareTemporal, watchers, whyStays };
  const activities = clusterActivities(parts);
  const worker = await Worker.create({
    connection,
    namespace: temporalNamespace,
    taskQueue: configuration.taskQueue,
    workflowBundle: { codePath: workflowBundle },
    activities,
    interceptors: { activity: [livenessInterceptor(), activityInterceptor(logger, faultPoints(configuration.faults))] },
    maxHeartbeatThrottleInterval: LIVENESS_MILLISECONDS,
    maxCachedWorkflows: CACHED_WORKFLOWS,
    maxConcurrentActivityTaskExecutions: CONCURRENT_ACTIVITIES,
    shutdownGraceTime: SHUTDOWN_GRACE,
  });

  let hwameistorIsLive = false;
  const isActive = () => !hwameistorIsLive;
  const tasks = new LeaderTasks('triggers and reconcilers', () => createLeaderTasks(parts, activities), logger);
  // Not told of HwameiStor: a pod that waits behind its gate must come from there.
  const releases = new LeaderTasks('releases of gated pods', () => [createGatedPods(parts, isActive)], logger);
  const onChange = (isLive: boolean): void => {
    hwameistorIsLive = isLive;
    tasks.setHwameistorIsLive(isLive);
  };
  const hwameistor = new HwameistorWatch({ kube, logger, onChange });
  const admission = new AdmissionServer({
    kube,
    listen: configuration.webhookListen,
    review: (body) => reviewPod({ kube, stores: watchers.stores, whyStays, isActive, logger }, body),
    logger,
  });
  closeAtEnd(() => admission.stop());
  admission.start();
  const election = new LeaderElection({
    client: kube,
    lease: { namespace, name: CONTROLLER_LEASE },
    identity: `${hostname()}_${randomUUID()}`,
    onAcquired: () => {
      for (const each of [tasks, releases]) each.setLeads(true);
    },
    onLost: (reason) => {
      logger.warn({ reason }, 'leads no more');
      for (const each of [tasks, releases]) each.setLeads(false);
    },
    onError: (error) => logger.warn({ error }, 'leader election: attempt failed, tried again'),
  });
  const leave = async (): Promise<void> => {
    await election.stop();
    await hwameistor.stop();
    await Promise.all([tasks.stop(), releases.stop()]);
  };
  closeAtEnd(leave);
  hwameistor.start();
  election.start();
  logger.info({ taskQueue: configuration.taskQueue }, 'controller runs');
  // Another one may lead while the worker here lets its activities end.
  await Promise.all([worker.runUntil(untilAborted(signal)), untilAborted(signal).then(leave)]);
}

interface Parts {
  readonly configuration: ControllerConfiguration;
  readonly logger: Logger;
  readonly kube: KubeClient;
  readonly client: Client;
  readonly prepareTemporal: () => Promise<void>;
  readonly watchers: ClusterWatchers;
  readonly whyStays: StayJudge;
}

function clusterActivities({ configuration, logger, kube, client, watchers, whyStays }: Parts): ClusterActivities {
  const { namespace, evictionDelaySeconds, hashCheck, taskQueue, faults } = configuration;
  return createClusterActivities({
    kube,
    stores: watchers.stores,
    events: createEventRecorder(kube, logger, 'controller'),
    workflows: createMigrationWorkflows(client, taskQueue),
    turns: createSyncTurns(client, taskQueue, configuration.syncLimits),
    now: () => new Date(),
    scheduledAt: () => Context.current().info.currentAttemptScheduledTimestampMs,
    namespace,
    whyStays,
    evictionDelaySeconds,
    hashCheck,
    logger,
    reachFaultPoint: faultPoints(faults),
  });
}

function createLeaderTasks(parts: Parts, activities: ClusterActivities): readonly LeaderTask[] {
  const { configuration, logger, kube, client, prepareTemporal, watchers, whyStays } = parts;
  const { namespace, taskQueue, evictionDelaySeconds, retentionSeconds } = configuration;
  const { stores } = watchers;
  const signals = createWorkflowSignals(client, taskQueue);
  const workflows = createMigrationWorkflows(client, taskQueue);
  const { findMigration } = activities;
  const releaseHolds = (node: string) => activities.releaseHolds({ node });
  const now = () => new Date();
  return [
    new NodeDrainTrigger({ stores, changes: watchers, whyStays, signals, prepareTemporal, releaseHolds, logger }),
    new VolumeUsageTrigger({ stores, changes: watchers, signals, workflows, prepareTemporal, findMigration, logger }),
    new PodEvictionTrigger({ kube, stores, changes: watchers, signals, prepareTemporal, logger }),
    new MigrateRequestTrigger({ kube, stores, changes: watchers, workflows, whyStays, prepareTemporal, now, logger }),
    new EndedMigrationsReconciler({ kube, stores, changes: watchers, namespace, now, retentionSeconds, logger }),
    new EvacuatedReconciler({ kube, stores, changes: watchers, namespace, whyStays, evictionDelaySeconds, now, logger }),
    new ReservationsReconciler({ kube, stores, logger }),
    new StorageNodeStateReconciler({ kube, stores, namespace, logger }),
    new VolumeStatusReconciler({ kube, stores, changes: watchers, logger }),
  ];
}

function createGatedPods({ kube, logger, watchers, whyStays }: Parts, isActive: () => boolean): LeaderTask {
  const events = createEventRecorder(kube, logger, 'controller');
  return new GatedPodsReconciler({ kube, stores: watchers.stores, whyStays, isActive, changes: watchers, events, logger });
}

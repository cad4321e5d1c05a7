/**
 * A node's agent: its two task queues, the report on its storage, the Lease that says it is there, and what was left here while it was not.
 *
 *   control  short steps, let end when the agent is told to stop
 *   sync     waits of minutes to hours, which hold nothing: given up at once, and taken up again by the next agent
 */
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { limitRunningSyncs } from '../../activities/node/index.ts';
import type { AgentConfiguration } from '../../core/contracts/configuration.ts';
import { controlTaskQueue, syncTaskQueue } from '../../core/contracts/names.ts';
import { NodeReporter } from '../../reconcilers/node-report.ts';
import { readStorageFacts } from '../../reconcilers/storage-facts.ts';
import { localHost } from '../../system/host.ts';
import { activityInterceptor } from '../activity-interceptor.ts';
import { createEventRecorder } from '../event-recorder.ts';
import { faultPoints } from '../faults.ts';
import { LIVENESS_MILLISECONDS, livenessInterceptor } from '../liveness-interceptor.ts';
import type { Logger } from '../logging.ts';
import { openKube } from '../process.ts';
import { runUntilStopped, untilAborted } from '../stopping.ts';
import { waitUntil } from '../wait.ts';
import { agentActivities, checkClusterKey, nodeDependencies } from './activities.ts';
import { ProgressReporter } from './progress-reporter.ts';
import { Sweeper } from './sweeper.ts';

export interface AgentOptions {
  readonly configuration: AgentConfiguration;
  readonly logger: Logger;
  /** Ends the agent. Mirrors stay as they are in the kernel. */
  readonly signal: AbortSignal;
}

const CONTROL_SLOTS = 4;
/** A wait costs nothing; how many volumes sync at once is the workflows' to decide. */
const SYNC_SLOTS = 100;
/** From SIGTERM on; what has not ended then is cancelled, and ends with the process at the latest. */
const CONTROL_GRACE = '15s';

/** Runs until the signal ends it. @throws where a worker ends by itself, and {ConfigurationError} before anything is begun. */
export function runAgent({ configuration, logger, signal }: AgentOptions): Promise<void> {
  return runUntilStopped(signal, async (closeAtEnd) => {
    await checkClusterKey(configuration);
    const { nodeName, namespace, temporalAddress, temporalNamespace } = configuration;
    const kube = openKube(configuration.kubeconfig, 'rehome-agent');
    closeAtEnd(() => kube.close());

    const connect = () => NativeConnection.connect({ address: temporalAddress });
    const connection = await waitUntil(`Temporal at ${temporalAddress}`, connect, { logger, signal });
    closeAtEnd(() => connection.close());
    const dependencies = nodeDependencies(configuration, kube);
    const interceptor = activityInterceptor(logger, faultPoints(configuration.faults));
    const common = {
      connection,
      namespace: temporalNamespace,
      activities: agentActivities(dependencies, new ProgressReporter(kube, logger)),
      interceptors: { activity: [interceptor] },
      maxHeartbeatThrottleInterval: LIVENESS_MILLISECONDS,
      // A frontend allows 1200 long polls in all; each agent has two queues.
      maxConcurrentActivityTaskPolls: 1,
    } satisfies Partial<WorkerOptions>;
    const createWorker = (options: Partial<WorkerOptions> & Pick<WorkerOptions, 'taskQueue'>) =>
      waitUntil(`Temporal's namespace ${temporalNamespace}`, () => Worker.create({ ...common, ...options }), { logger, signal });
    const control = {
      taskQueue: controlTaskQueue(nodeName),
      interceptors: { activity: [livenessInterceptor(), interceptor] },
      maxConcurrentActivityTaskExecutions: CONTROL_SLOTS,
      shutdownGraceTime: CONTROL_GRACE,
    };
    const sync = { taskQueue: syncTaskQueue(nodeName), maxConcurrentActivityTaskExecutions: SYNC_SLOTS };
    const workers = [await createWorker(control), await createWorker(sync)];

    // Before the Lease lets this node be a target again: what is left here of an aborted migration would be in the next one's way.
    const events = createEventRecorder(kube, logger, 'agent');
    const sweeper = new Sweeper({ client: kube, dependencies, events, logger });
    closeAtEnd(() => sweeper.stop());
    await Promise.race([sweeper.start(), untilAborted(signal)]);

    const limiting = limitRunningSyncs(dependencies);
    await limiting.catch((error: unknown) =>
      logger.warn({ error }, 'the limit of syncs that run could not be set: they keep what they have'),
    );

    // The Lease says that steps will be done, so not before there is somebody to do them.
    const reporter = new NodeReporter({
      client: kube,
      nodeName,
      storageAddress: configuration.storageAddress,
      namespace,
      pools: configuration.pools,
      readStorage: () => readStorageFacts(localHost),
      onError: (error) => logger.warn({ error }, 'report or Lease: could not be written, tried again'),
    });
    closeAtEnd(() => reporter.stop());
    reporter.start();
    logger.info('agent runs');
    await Promise.all(workers.map((worker) => worker.runUntil(untilAborted(signal))));
  });
}

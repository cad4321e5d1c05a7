/** One Temporal server, the workflows' bundle and one controller, for all tests of a file. */
import { randomUUID } from 'node:crypto';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker, type WorkerOptions, type WorkflowBundle } from '@temporalio/worker';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import { LIVENESS_MILLISECONDS, livenessInterceptor } from '../../worker/liveness-interceptor.ts';
import { CLUSTER_ACTIVITIES } from './fake-cluster.ts';
import { Harness } from './harness.ts';
import { loadWorkflowBundle, type Timings } from './workflow-bundle.ts';

export interface RunningWorker {
  /** Gives up what runs, as a process does that is told to end. */
  stop(): Promise<void>;
}

export class TestBed {
  readonly environment: TestWorkflowEnvironment;
  readonly bundle: WorkflowBundle;
  readonly taskQueue = `controller-${randomUUID()}`;
  readonly #harnesses = new Map<string, Harness>();
  #controller: RunningWorker | undefined;

  /** @param timings replace the workflows' own. */
  static async open(startServer: () => Promise<TestWorkflowEnvironment>, timings?: Timings): Promise<TestBed> {
    const [environment, bundle] = await Promise.all([startServer(), loadWorkflowBundle(timings)]);
    const bed = new TestBed(environment, bundle);
    bed.#controller = await bed.startController(bed.taskQueue, bed.#activities());
    return bed;
  }

  constructor(environment: TestWorkflowEnvironment, bundle: WorkflowBundle) {
    this.environment = environment;
    this.bundle = bundle;
  }

  async close(): Promise<void> {
    await this.#controller?.stop();
    await this.environment.teardown();
  }

  /**
   * Two nodes with their agents, and a volume on the first, which is cordoned.
   * @param ownController starts one that the test may stop.
   */
  async harness({ ownController = false } = {}): Promise<Harness> {
    const harness = new Harness(this, ownController);
    this.#harnesses.set(harness.id, harness);
    const { world, n1, n2, data } = harness;
    world.addNode(n1).cordoned = true;
    world.addNode(n2);
    world.addVolume(data, n1);
    if (ownController) await harness.startController();
    await Promise.all([harness.startAgent(n1), harness.startAgent(n2)]);
    return harness;
  }

  startController(taskQueue: string, activities: ClusterActivities, options: Partial<WorkerOptions> = {}): Promise<RunningWorker> {
    return this.startWorker({ taskQueue, workflowBundle: this.bundle, activities: { ...activities }, ...options });
  }

  async startWorker(options: Omit<WorkerOptions, 'connection'>): Promise<RunningWorker> {
    const { nativeConnection: connection } = this.environment;
    const worker = await Worker.create({
      connection,
      maxConcurrentActivityTaskPolls: 2,
      interceptors: { activity: [livenessInterceptor()] },
      maxHeartbeatThrottleInterval: LIVENESS_MILLISECONDS,
      ...options,
    });
    const ended = worker.run();
    ended.catch(() => undefined);
    return {
      async stop() {
        if (worker.getState() === 'RUNNING') worker.shutdown();
        await ended;
      },
    };
  }

  /** Each request names something of its test's world, which has the test's id in its name. */
  #activities(): ClusterActivities {
    const activityOf = (name: keyof ClusterActivities) => (request: never) => {
      const [, id = ''] = /-([0-9a-f]{8})\b/.exec(JSON.stringify(request)) ?? [];
      return (this.#harnesses.get(id)?.activities[name] as ((request: never) => unknown) | undefined)?.(request);
    };
    return Object.fromEntries(CLUSTER_ACTIVITIES.map((name) => [name, activityOf(name)])) as unknown as ClusterActivities;
  }
}

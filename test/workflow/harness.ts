/** Agents, and a controller if wanted, really connected to a Temporal server, over a world in memory. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { createMigrationWorkflows } from '../../activities/cluster/migration-workflows.ts';
import { createSyncTurns } from '../../activities/cluster/turns.ts';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { MigrationEnded } from '../../core/contracts/migration.ts';
import { controlTaskQueue, syncTaskQueue, WorkflowType, workflowId } from '../../core/contracts/names.ts';
import { createWorkflowSignals } from '../../triggers/workflow-signals.ts';
import { createFakeClusterActivities } from './fake-cluster.ts';
import { createFakeNodeActivities } from './fake-node.ts';
import { currentDetails, MigrationHandle, resetWorkflow } from './migration-handle.ts';
import type { RunningWorker, TestBed } from './test-bed.ts';
import { type Migrate, World } from './world.ts';

/** Waits until something holds, at most half a minute. @throws what `check` threw last. */
export async function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  for (const deadline = performance.now() + 30_000; ; await sleep(20)) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

export class Harness {
  readonly world = new World();
  /** This test's own: task queues and workflow ids follow from names that end with it. */
  readonly id = randomUUID().slice(0, 8);
  readonly #bed: TestBed;
  readonly #workers = new Map<string, RunningWorker>();
  readonly taskQueue: string;
  readonly activities: ClusterActivities;
  readonly n1 = `n1-${this.id}`;
  readonly n2 = `n2-${this.id}`;
  readonly n3 = `n3-${this.id}`;
  readonly data = `data-${this.id}`;
  readonly limiterId = `${workflowId.limitSyncs}-${this.id}`;

  constructor(bed: TestBed, ownController: boolean) {
    this.#bed = bed;
    this.taskQueue = ownController ? `controller-${this.id}` : bed.taskQueue;
    const turns = createSyncTurns(this.#client, this.taskQueue, this.world.syncLimits, this.limiterId);
    this.activities = createFakeClusterActivities(this.world, createMigrationWorkflows(this.#client, this.taskQueue), turns);
  }

  get #client() {
    return this.#bed.environment.client;
  }

  volume(name: string): string {
    return `${name}-${this.id}`;
  }

  async startController(): Promise<void> {
    // A time-skipping server may stand still for good over a task that waits for a stopped controller's cached workflow.
    this.#workers.set('controller', await this.#bed.startController(this.taskQueue, this.activities, { maxCachedWorkflows: 0 }));
  }

  async startAgent(node: string): Promise<void> {
    const activities = { ...createFakeNodeActivities(this.world, node) };
    for (const taskQueue of [controlTaskQueue(node), syncTaskQueue(node)]) {
      this.#workers.set(taskQueue, await this.#bed.startWorker({ taskQueue, activities }));
    }
    this.world.node(node).agentAlive = true;
  }

  stopController = (): Promise<void> => this.#stop('controller');

  async stopAgent(node: string): Promise<void> {
    this.world.node(node).agentAlive = false;
    await Promise.all([controlTaskQueue(node), syncTaskQueue(node)].map((name) => this.#stop(name)));
  }

  async #stop(name: string): Promise<void> {
    const running = this.#workers.get(name);
    this.#workers.delete(name);
    await running?.stop();
  }

  /** Terminates what is left, so that no test leaves work to the next. */
  async stop(): Promise<void> {
    const ids = [this.n1, this.n2, this.n3]
      .map(workflowId.evictNode)
      .concat(workflowId.evictPod(this.pod.uid), this.limiterId, [...this.world.volumes.keys()].map(workflowId.migrateVolume));
    await Promise.all(
      ids.map((id) =>
        this.#client.workflow
          .getHandle(id)
          .terminate()
          .catch(() => undefined),
      ),
    );
    await Promise.all([...this.#workers.keys()].map((name) => this.#stop(name)));
  }

  /** Starts the migration of a volume, as a drain does. */
  async migrate(volume = this.data, sourceNode = this.n1): Promise<MigrationHandle> {
    const handle = await this.#client.workflow.start<() => Promise<MigrationEnded>>(WorkflowType.migrateVolume, {
      workflowId: workflowId.migrateVolume(volume),
      taskQueue: this.taskQueue,
      args: [{ volume, sourceNode, trigger: 'node-drain' }] as never,
    });
    return new MigrationHandle(handle, this.#bed.environment);
  }

  /** Starts the migration of a volume that somebody has made a LocalVolumeMigrate for, as the trigger does. */
  async request(suggested: readonly string[] = [], volume = this.data, sourceNode = this.n1): Promise<MigrationHandle> {
    const request = { name: `${volume}-asked`, uid: `uid-of-${volume}-asked` };
    this.world.requests.set(volume, { ...request, withdrawn: false, suggested });
    await createMigrationWorkflows(this.#client, this.taskQueue).startOrFollow({ volume, sourceNode, trigger: 'migrate-request', request });
    return this.migration(volume);
  }

  migration(volume = this.data): MigrationHandle {
    return new MigrationHandle(this.#client.workflow.getHandle(workflowId.migrateVolume(volume)), this.#bed.environment);
  }

  get signals() {
    return createWorkflowSignals(this.#client, this.taskQueue);
  }

  /** Cordons or uncordons, and tells the eviction as the trigger does. */
  async cordon(cordoned = true, node = this.n1): Promise<void> {
    this.world.node(node).cordoned = cordoned;
    await (cordoned ? this.signals.evictNode(node) : this.signals.nodeChanged(node));
  }

  readonly pod = { namespace: 'default', name: `db-${this.id}`, uid: `uid-${this.id}` };

  /** The pod is evicted from the node, and the trigger has marked its claims and tells. */
  async evictPod(volumes: readonly string[] = [this.data], node = this.n1): Promise<void> {
    this.world.node(node).cordoned = false;
    this.world.evictedPods.set(this.pod.uid, { node, marked: new Set(volumes), label: 'start' });
    await this.tellPodEviction(volumes, node);
  }

  async tellPodEviction(claims: readonly string[] = [this.data], node = this.n1): Promise<void> {
    await this.signals.evictPod({ pod: this.pod, node, claims });
  }

  podEviction(): WorkflowHandle {
    return this.#client.workflow.getHandle(workflowId.evictPod(this.pod.uid));
  }

  async podEvictionDetails(): Promise<string> {
    return currentDetails(this.podEviction());
  }

  /** The last run of a workflow, also when another has followed. */
  async runOf(id: string): Promise<WorkflowHandle> {
    const { runId } = await this.#client.workflow.getHandle(id).describe();
    return this.#client.workflow.getHandle(id, runId);
  }

  /** The run from which this one was continued, by however many. */
  async firstRunOf(run: WorkflowHandle): Promise<WorkflowHandle> {
    const { workflowId: id, raw } = await run.describe();
    return this.#client.workflow.getHandle(id, raw.workflowExecutionInfo?.firstRunId ?? undefined);
  }

  /** Begins a workflow anew from its first task. */
  async reset(handle: WorkflowHandle): Promise<void> {
    await resetWorkflow(this.#bed.environment, handle);
  }

  limiter(): WorkflowHandle {
    return this.#client.workflow.getHandle(this.limiterId);
  }

  eviction(node = this.n1): WorkflowHandle {
    return this.#client.workflow.getHandle(workflowId.evictNode(node));
  }

  /** What the Web UI shows as current details of the eviction. */
  async evictionDetails(): Promise<string> {
    return currentDetails(this.eviction());
  }

  migrateObject(volume = this.data): Migrate {
    return this.world.migrateOf(volume);
  }
}

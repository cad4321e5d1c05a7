/**
 * An agent's loop: keeps its LocalStorageNode and the status of its node's LocalVolumeReplicas as the node is, and its Lease alive.
 *
 *   every few seconds, and at once when a replica of this node appears:
 *     look at LVM and DRBD -> pure report -> write what differs from what the watches last saw, as merge patches of /status
 *
 * A look that fails writes nothing: what was last known stays, and the next round follows. Where none succeeds for three minutes the Lease is given
 * up: nobody is to place volumes, or to power the node off, by a report that is not true any more. LVM alone may take a minute to remove a volume.
 *
 * A LocalStorageNode's annotations (reservations) and conditions are the controller's; a merge patch leaves them alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { agentLease } from '../core/contracts/names.ts';
import type {
  LocalStorageNode,
  LocalStorageNodeStatus,
  LocalVolumeReplica,
  LocalVolumeReplicaStatus,
} from '../core/contracts/objects/index.ts';
import { mergePatchBetween } from '../core/domain/merge-patch.ts';
import { reportReplica, reportStorageNode, type StorageFacts } from '../core/domain/storage-node-report.ts';
import type { KubeClient, MergePatch } from '../system/kube/client.ts';
import { isAlreadyExists, isNotFound } from '../system/kube/errors.ts';
import { localStorageNodes, localVolumeReplicas } from '../system/kube/hwameistor-resources.ts';
import { LeaseHeartbeat } from '../system/kube/lease.ts';
import { nodes } from '../system/kube/resources.ts';
import { Watcher, withoutManagedFields } from '../system/kube/watcher.ts';

export interface NodeReporterOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  /** IPv4, in the storage network. */
  readonly storageAddress: string;
  /** Where the Lease is. */
  readonly namespace: string;
  /** Volume groups that are pools. undefined: all with HwameiStor's names. */
  readonly pools: readonly string[] | undefined;
  readonly readStorage: () => Promise<StorageFacts>;
  /** Rounds, watches and renewals that failed; each is tried again. */
  readonly onError: (error: unknown) => void;
  /** From the beginning of a round to that of the next. Default 4: a change is to be seen within 10 s. */
  readonly intervalSeconds?: number;
  /** For how long what was reported may count without a round that succeeds. Default 180. */
  readonly reportLastsSeconds?: number;
}

const DEFAULT_INTERVAL_SECONDS = 4;
const DEFAULT_REPORT_LASTS_SECONDS = 180;
/** The well-known labels of Kubernetes. */
const ZONE_LABEL = 'topology.kubernetes.io/zone';
const REGION_LABEL = 'topology.kubernetes.io/region';

export class NodeReporter {
  readonly #options: NodeReporterOptions;
  readonly #node: Watcher<LocalStorageNode>;
  readonly #replicas: Watcher<LocalVolumeReplica>;
  readonly #heartbeat: LeaseHeartbeat;
  readonly #stopped = new AbortController();
  #wake = new AbortController();
  #reportedAt = performance.now();
  #running: Promise<void> | undefined;

  constructor(options: NodeReporterOptions) {
    const { client, nodeName, namespace, onError, reportLastsSeconds = DEFAULT_REPORT_LASTS_SECONDS } = options;
    const common = { client, onError, project: withoutManagedFields };
    this.#options = options;
    this.#node = new Watcher<LocalStorageNode>({
      ...common,
      resource: localStorageNodes,
      selection: { fieldSelector: `metadata.name=${nodeName}` },
    });
    this.#replicas = new Watcher<LocalVolumeReplica>({
      ...common,
      resource: localVolumeReplicas,
      selection: { fieldSelector: `spec.nodeName=${nodeName}` },
      onChange: (_key, now, before) => {
        if (now && !before) this.#wake.abort();
      },
    });
    this.#heartbeat = new LeaseHeartbeat({
      client,
      lease: { namespace, name: agentLease(nodeName) },
      identity: nodeName,
      isWell: () => performance.now() - this.#reportedAt < reportLastsSeconds * 1000,
      onError,
    });
  }

  start(): void {
    this.#node.start();
    this.#replicas.start();
    this.#heartbeat.start();
    this.#running ??= this.#run();
  }

  /** Gives the Lease up: the node is seen to have no agent at once. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([this.#node.stop(), this.#replicas.stop(), this.#heartbeat.stop(), this.#running]);
  }

  async #run(): Promise<void> {
    const { onError, intervalSeconds = DEFAULT_INTERVAL_SECONDS } = this.#options;
    while (!this.#stopped.signal.aborted) {
      this.#wake = new AbortController();
      const startedAt = performance.now();
      await this.#round().catch(onError);
      const elapsedSeconds = (performance.now() - startedAt) / 1000;
      // On a busy node a look takes seconds: they count, but the node gets a rest.
      const pauseSeconds = Math.max(intervalSeconds - elapsedSeconds, intervalSeconds / 4);
      const signal = AbortSignal.any([this.#stopped.signal, this.#wake.signal]);
      await sleep(pauseSeconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }

  async #round(): Promise<void> {
    const { nodeName, readStorage, onError } = this.#options;
    await Promise.all([this.#node, this.#replicas].map((watcher) => watcher.waitForSync(30)));
    const facts = await readStorage();
    const node = this.#node.get(nodeName) ?? (await this.#createStorageNode());
    await this.#writeStorageNode(node, facts);
    // One that is refused holds up no other.
    for (const replica of this.#replicas.list()) await this.#writeReplica(replica, facts).catch(onError);
    this.#reportedAt = performance.now();
  }

  /** Zone and region are taken from the Node once: afterwards they are whatever people make them. */
  async #createStorageNode(): Promise<LocalStorageNode> {
    const { client, nodeName, storageAddress } = this.#options;
    const labels = (await client.get(nodes, { name: nodeName })).metadata.labels ?? {};
    const topogoly = { zone: labels[ZONE_LABEL] ?? 'default', region: labels[REGION_LABEL] ?? 'default' };
    try {
      const spec = { hostname: nodeName, storageIP: storageAddress, topogoly };
      return await client.create(localStorageNodes, { metadata: { name: nodeName }, spec });
    } catch (error) {
      if (isAlreadyExists(error)) return client.get(localStorageNodes, { name: nodeName });
      throw error;
    }
  }

  async #writeStorageNode({ spec, status }: LocalStorageNode, facts: StorageFacts): Promise<void> {
    const { client, nodeName, storageAddress, pools } = this.#options;
    const name = { name: nodeName };
    if (spec.hostname !== nodeName || spec.storageIP !== storageAddress) {
      await client.mergePatch(localStorageNodes, name, { spec: { hostname: nodeName, storageIP: storageAddress } });
    }
    const { conditions: _, poolExtendRecords: _a, thinPoolExtendRecords: _b, ...written } = status ?? {};
    const report = reportStorageNode(facts, status, { pools, now: new Date().toISOString() });
    const patch = mergePatchBetween(written, report) as MergePatch<LocalStorageNodeStatus> | undefined;
    if (patch) await client.mergePatch(localStorageNodes, name, { status: patch }, { subresource: 'status' });
  }

  async #writeReplica({ metadata, spec, status }: LocalVolumeReplica, facts: StorageFacts): Promise<void> {
    const report = reportReplica(facts, spec, status, { now: new Date().toISOString() });
    const patch = mergePatchBetween(status, report) as MergePatch<LocalVolumeReplicaStatus> | undefined;
    if (!patch) return;
    const { client } = this.#options;
    await client.mergePatch(localVolumeReplicas, { name: metadata.name }, { status: patch }, { subresource: 'status' }).catch((error) => {
      // Deleted since it was seen.
      if (!isNotFound(error)) throw error;
    });
  }
}

/** A control plane with storage nodes and volumes as Rehome's agents and HwameiStor's driver would leave them, and the controller's activities. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import type { ClusterDependencies } from '../../activities/cluster/dependencies.ts';
import { createClusterActivities } from '../../activities/cluster/index.ts';
import { createStayJudge } from '../../activities/cluster/stay.ts';
import type { ClusterActivities } from '../../core/contracts/cluster-activities.ts';
import type { MigrateVolumeInput, MigrationEnded, MigrationRef, MirrorEnd } from '../../core/contracts/migration.ts';
import { agentLease, CSI_DRIVER, TOPOLOGY_KEY } from '../../core/contracts/names.ts';
import type { LocalStorageNode, LocalVolumeReplica, Pool } from '../../core/contracts/objects/index.ts';
import { KubeClient } from '../../system/kube/client.ts';
import { loadKubeConfig } from '../../system/kube/connection.ts';
import { isNotFound } from '../../system/kube/errors.ts';
import { EventRecorder } from '../../system/kube/events.ts';
import { localStorageNodes, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { LeaseHeartbeat } from '../../system/kube/lease.ts';
import {
  events,
  type KubeEvent,
  type KubeObject,
  keyOf,
  leases,
  nodes,
  type PersistentVolumeClaim,
  type Pod,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  type Resource,
  volumeAttachments,
} from '../../system/kube/resources.ts';
import { ClusterWatchers } from '../../worker/controller/watchers.ts';
import { createLogger } from '../../worker/logging.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { claimManifest, localVolumeSpec, MiB, POOL, persistentVolumeManifest, type VolumeOptions } from './volume-manifests.ts';

export { MiB, POOL } from './volume-manifests.ts';

const execute = promisify(execFile);

export const GiB = 2 ** 30;
export const NAMESPACE = 'rehome-system';

/** Workflows that are only remembered. */
export class RecordedWorkflows {
  readonly started: { readonly input: MigrateVolumeInput; readonly follower: string }[] = [];
  readonly ends = new Map<string, MigrationEnded>();
  async startOrFollow(input: MigrateVolumeInput, follower: string): Promise<void> {
    this.started.push({ input, follower });
  }
  async endOf(volume: string): Promise<MigrationEnded | undefined> {
    return this.ends.get(volume);
  }
}

export class MigrationWorld {
  readonly cluster: Cluster;
  /** Of an administrator. */
  readonly client: KubeClient;
  /** Of the controller's service account, so that every activity runs with the rights it will have. */
  readonly #controller: KubeClient;
  readonly watchers: ClusterWatchers;
  readonly workflows = new RecordedWorkflows();
  readonly dependencies: ClusterDependencies;
  readonly activities: ClusterActivities;
  /** What went wrong where nothing throws: Events, Leases. */
  readonly errors: unknown[] = [];
  readonly #heartbeats = new Map<string, LeaseHeartbeat>();

  private constructor(cluster: Cluster, controller: KubeClient) {
    this.cluster = cluster;
    this.client = cluster.client;
    this.#controller = controller;
    const logger = createLogger('test', 'fatal');
    this.watchers = new ClusterWatchers({ kube: controller, namespace: NAMESPACE, logger });
    this.dependencies = {
      kube: controller,
      stores: this.watchers.stores,
      workflows: this.workflows,
      turns: { limits: { perNode: 2, perCluster: 10 }, ask: async () => undefined, giveBack: async () => undefined },
      events: new EventRecorder({
        client: controller,
        reportingController: 'rehome.io/controller',
        reportingInstance: 'test',
        onError: (error) => this.errors.push(error),
      }),
      now: () => new Date(),
      scheduledAt: () => Date.now(),
      namespace: NAMESPACE,
      whyStays: createStayJudge({ rehome: NAMESPACE, temporal: 'temporal' }),
      evictionDelaySeconds: 0,
      hashCheck: true,
      logger,
      reachFaultPoint: () => undefined,
    };
    this.activities = createClusterActivities(this.dependencies);
  }

  static async start(): Promise<MigrationWorld> {
    const cluster = await startCluster();
    try {
      const world = new MigrationWorld(cluster, await connectAsController(cluster));
      world.watchers.start();
      await world.watchers.waitForSync(20);
      return world;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#heartbeats.values(), (heartbeat) => heartbeat.stop()));
    await this.watchers.stop();
    await this.#controller.close();
    await this.cluster.stop();
  }

  /** Activities of a process that ends at a step of `switchObjects`. */
  crashingAfter(step: string): ClusterActivities {
    const reachFaultPoint = (_: 'before' | 'after', reached: string): void => {
      if (reached === `switchObjects.${step}`) throw new Error(`crashed after ${step}`);
    };
    return createClusterActivities({ ...this.dependencies, reachFaultPoint });
  }

  /** A node that is Ready, with its agent alive and one pool. */
  async addNode(name: string, address: string, pool: Partial<Pool> = {}): Promise<MirrorEnd> {
    await this.client.create(nodes, { metadata: { name, labels: { 'kubernetes.io/hostname': name, [TOPOLOGY_KEY]: name } } });
    await this.client.mergePatch(
      nodes,
      { name },
      { status: { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }] } },
      { subresource: 'status' },
    );
    await this.#keepAlive({ namespace: 'kube-node-lease', name });
    await this.#keepAlive({ namespace: NAMESPACE, name: agentLease(name) });
    await this.client.create(localStorageNodes, { metadata: { name }, spec: { hostname: name, storageIP: address } });
    await this.reportPool(name, pool);
    await this.seen('nodes', await this.client.get(nodes, { name }));
    return { node: name, storageAddress: address };
  }

  /** As a kubelet, or an agent, says that it is there. */
  async #keepAlive(lease: { readonly namespace: string; readonly name: string }): Promise<void> {
    const heartbeat = new LeaseHeartbeat({ client: this.client, lease, identity: 'test', onError: (error) => this.errors.push(error) });
    this.#heartbeats.set(lease.name, heartbeat);
    heartbeat.start();
    const written = await vi.waitFor(() => this.client.get(leases, lease), { timeout: 5000 });
    if (lease.namespace === NAMESPACE) await this.seen('leases', written);
  }

  /** The node's agent falls silent. */
  async silenceAgent(node: string): Promise<void> {
    const lease = { namespace: NAMESPACE, name: agentLease(node) };
    await this.#heartbeats.get(lease.name)?.stop();
    await this.seen('leases', await this.client.get(leases, lease));
  }

  /** It is back. */
  async reviveAgent(node: string): Promise<void> {
    await this.#keepAlive({ namespace: NAMESPACE, name: agentLease(node) });
  }

  /** What the agent would write. */
  async reportPool(node: string, change: Partial<Pool>): Promise<LocalStorageNode> {
    const pool: Pool = {
      name: POOL,
      class: 'HDD',
      type: 'REGULAR',
      totalCapacityBytes: 10 * GiB,
      usedCapacityBytes: 0,
      freeCapacityBytes: 10 * GiB,
      volumeCapacityBytesLimit: 10 * GiB,
      totalVolumeCount: 1000,
      usedVolumeCount: 0,
      freeVolumeCount: 1000,
      volumes: [],
      ...change,
    };
    const status = { state: 'Ready', pools: { [POOL]: pool } } as const;
    const written = await this.client.mergePatch(localStorageNodes, { name: node }, { status }, { subresource: 'status' });
    await this.seen('localStorageNodes', written);
    return written;
  }

  async cordon(node: string, unschedulable = true): Promise<void> {
    await this.seen('nodes', await this.client.mergePatch(nodes, { name: node }, { spec: { unschedulable } }));
  }

  /** LocalVolume and replica, and unless told otherwise PersistentVolume and a claim of the same name that is bound to it. */
  async addVolume(name: string, end: MirrorEnd, options: VolumeOptions = {}): Promise<void> {
    const { sizeBytes = 64 * MiB, claimed = true } = options;
    const replica = `${name}-abc123`;
    await this.addReplica(name, replica, end.node, sizeBytes);
    const localVolume = await this.client.create(localVolumes, {
      metadata: { name },
      spec: localVolumeSpec(name, end, sizeBytes, options),
    });
    const status = {
      state: 'Ready' as const,
      allocatedCapacityBytes: sizeBytes,
      replicas: [replica],
      publishedNode: options.publishedNode ?? '',
    };
    const written = await this.client.mergePatch(localVolumes, localVolume.metadata, { status }, { subresource: 'status' });
    await this.seen('localVolumes', written);
    if (claimed) await this.#claim(name, end, sizeBytes, options.nodeAffinity ?? true);
  }

  /** All on that node, ten at a time. */
  async addVolumes(names: readonly string[], end: MirrorEnd): Promise<void> {
    const left = [...names];
    const addOneByOne = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) await this.addVolume(name, end);
    };
    await Promise.all(Array.from({ length: 10 }, addOneByOne));
  }

  async addReplica(volume: string, name: string, node: string, sizeBytes = 64 * MiB): Promise<LocalVolumeReplica> {
    const spec = { volumeName: volume, poolName: POOL, nodeName: node, requiredCapacityBytes: sizeBytes, delete: false };
    const replica = await this.client.create(localVolumeReplicas, { metadata: { name }, spec });
    const status = { allocatedCapacityBytes: sizeBytes, state: 'Ready', synced: true } as const;
    const written = await this.client.mergePatch(localVolumeReplicas, replica.metadata, { status }, { subresource: 'status' });
    await this.seen('localVolumeReplicas', written);
    return written;
  }

  async #claim(name: string, { node }: MirrorEnd, sizeBytes: number, nodeAffinity: boolean): Promise<void> {
    await this.client.create(persistentVolumes, persistentVolumeManifest(name, sizeBytes, nodeAffinity ? node : undefined));
    // After its volume: a claim that is first looked at without one waits 15 s for the next look.
    await this.client.create(persistentVolumeClaims, claimManifest(name, sizeBytes));
    await this.seen('persistentVolumeClaims', await this.boundClaim(name));
    await this.seen('persistentVolumes', await this.client.get(persistentVolumes, { name }));
  }

  async boundClaim(name: string): Promise<PersistentVolumeClaim> {
    return vi.waitFor(
      async () => {
        const claim = await this.client.get(persistentVolumeClaims, { namespace: 'default', name });
        if (claim.status?.phase !== 'Bound') throw new Error(`claim ${name} is ${claim.status?.phase}`);
        return claim;
      },
      { timeout: 20_000, interval: 50 },
    );
  }

  /** A pod that uses the claim; on the node, if one is named. */
  async addPod(
    name: string,
    claim: string,
    node?: string,
    spec: Partial<NonNullable<Pod['spec']>> = {},
    labels: Readonly<Record<string, string>> = {},
  ): Promise<Pod> {
    const pod = await this.client.create(pods, {
      metadata: { namespace: 'default', name, labels },
      spec: {
        containers: [{ name: 'main', image: 'none' }],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: claim } }],
        terminationGracePeriodSeconds: 0,
        ...(node !== undefined && { nodeName: node }),
        ...spec,
      },
    });
    await this.seen('pods', pod);
    return pod;
  }

  async removePod({ metadata }: Pod): Promise<void> {
    await this.client.delete(pods, metadata, { gracePeriodSeconds: 0 });
    await this.gone('pods', metadata);
  }

  /** As external-attacher and kubelet would show that the volume is in use on the node. */
  async attach(volume: string, node: string): Promise<void> {
    const attachment = await this.client.create(volumeAttachments, {
      metadata: { name: `csi-${volume}` },
      spec: { attacher: CSI_DRIVER, nodeName: node, source: { persistentVolumeName: volume } },
    });
    await this.seen('volumeAttachments', attachment);
  }

  async setVolumesInUse(node: string, volumes: readonly string[]): Promise<void> {
    const volumesInUse = volumes.map((volume) => `kubernetes.io/csi/${CSI_DRIVER}^${volume}`);
    const written = await this.client.mergePatch(nodes, { name: node }, { status: { volumesInUse } }, { subresource: 'status' });
    await this.seen('nodes', written);
  }

  /** Opens the volume's migration and brings it past its point of no return to that target. */
  async cutOver(volume: string, sourceNode: string, target: MirrorEnd): Promise<MigrationRef> {
    const { ref } = await this.activities.openMigration({ volume, sourceNode, trigger: 'node-drain' });
    await this.activities.reportPhase({ ref, phase: 'CuttingOver', message: 'test', target, pointOfNoReturn: true });
    return ref;
  }

  async eventsOf(uid: string): Promise<readonly KubeEvent[]> {
    return (await this.client.list(events)).filter(({ regarding }) => regarding?.uid === uid);
  }

  /** Waits until the store knows the object as it was just written, or newer. */
  async seen(kind: keyof ClusterWatchers['stores'], { metadata }: KubeObject): Promise<void> {
    await vi.waitFor(
      () => {
        const found = this.watchers.stores[kind].get(keyOf(nameOf(metadata)));
        if (!found || BigInt(found.metadata.resourceVersion) < BigInt(metadata.resourceVersion)) throw new Error(`${kind}: not seen yet`);
      },
      { timeout: 10_000, interval: 5 },
    );
  }

  async gone(kind: keyof ClusterWatchers['stores'], metadata: KubeObject['metadata']): Promise<void> {
    await vi.waitFor(
      () => {
        if (this.watchers.stores[kind].get(keyOf(nameOf(metadata)))?.metadata.uid === metadata.uid) throw new Error(`${kind}: still there`);
      },
      { timeout: 10_000, interval: 5 },
    );
  }

  /** Everything of one kind goes, and the store knows. */
  async clear<T extends KubeObject>(kind: keyof ClusterWatchers['stores'], resource: Resource<T>): Promise<void> {
    for (const { metadata } of await this.client.list(resource)) {
      if (metadata.finalizers) await this.client.jsonPatch(resource, metadata, [{ op: 'remove', path: '/metadata/finalizers' }]);
      await this.client.delete(resource, metadata, { gracePeriodSeconds: 0 }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
      await this.gone(kind, metadata);
    }
  }
}

async function connectAsController({ controlPlane }: Cluster): Promise<KubeClient> {
  const kubectl = async (...args: string[]): Promise<string> =>
    (await execute(controlPlane.kubectl, [`--kubeconfig=${controlPlane.kubeconfig}`, ...args])).stdout.trim();
  const files = ['namespace', 'controller-rbac', 'controller-admission-policy'];
  await kubectl('apply', ...files.map((file) => `--filename=deploy/${file}.yaml`));
  const token = await kubectl('create', 'token', 'rehome-controller', `--namespace=${NAMESPACE}`);
  const config = loadKubeConfig(controlPlane.kubeconfig);
  config.users = config.users.map(({ name }) => ({ name, token }));
  return new KubeClient(config, 'rehome-controller');
}

function nameOf({ name, namespace }: KubeObject['metadata']) {
  return namespace === undefined ? { name } : { name, namespace };
}

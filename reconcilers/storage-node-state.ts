/**
 * Says Offline in a LocalStorageNode whose agent is gone, because an agent that is gone cannot. Everything else there, `Ready` when it is back
 * included, its agent writes.
 */
import type { ClusterStores } from '../activities/cluster/stores.ts';
import { isAgentAlive } from '../activities/cluster/volume-facts.ts';
import type { LocalStorageNode } from '../core/contracts/objects/index.ts';
import type { KubeClient } from '../system/kube/client.ts';
import { isConflict } from '../system/kube/errors.ts';
import { localStorageNodes } from '../system/kube/hwameistor-resources.ts';
import { KeyedQueue } from '../system/kube/keyed-queue.ts';

export interface StorageNodeStateDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  /** Where the agents' Leases are. */
  readonly namespace: string;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/** A Lease that runs out is no event, so all are looked at, in memory. */
const LOOK_MILLISECONDS = 2000;

export class StorageNodeStateReconciler {
  readonly #dependencies: StorageNodeStateDependencies;
  readonly #queue: KeyedQueue;
  #timer: NodeJS.Timeout | undefined;

  constructor(dependencies: StorageNodeStateDependencies) {
    this.#dependencies = dependencies;
    this.#queue = new KeyedQueue({
      process: (node) => this.#reconcile(node),
      onError: (error, node) => dependencies.logger.warn({ error, node }, 'the state of a storage node could not be written, tried again'),
    });
  }

  start(): void {
    const look = (): void => {
      for (const storageNode of this.#dependencies.stores.localStorageNodes.list()) {
        if (this.#isWrong(storageNode)) this.#queue.add(storageNode.metadata.name);
      }
    };
    this.#timer = setInterval(look, LOOK_MILLISECONDS);
    look();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#queue.stop();
  }

  #isWrong({ metadata, status }: LocalStorageNode): boolean {
    // Maintain is a person's word.
    return status?.state !== 'Offline' && status?.state !== 'Maintain' && !isAgentAlive(this.#dependencies, metadata.name);
  }

  /** Compare-and-swap: an agent that comes back at this moment has the last word. */
  async #reconcile(name: string): Promise<void> {
    const { kube, stores, logger } = this.#dependencies;
    const storageNode = stores.localStorageNodes.get(name);
    if (!storageNode || !this.#isWrong(storageNode)) return;
    const patch = { metadata: { resourceVersion: storageNode.metadata.resourceVersion }, status: { state: 'Offline' as const } };
    try {
      await kube.mergePatch(localStorageNodes, { name }, patch, { subresource: 'status' });
    } catch (error) {
      // Looked at again in a moment.
      if (isConflict(error)) return;
      throw error;
    }
    logger.warn({ node: name }, 'the agent is gone: its Lease has run out');
  }
}

/**
 * The kubelet of one virtual node: brings the pods that the API server has for the node to be on it, says how they are, and keeps the node's Lease
 * while the node answers. A pod on a node that does not answer stays as it is.
 *
 * Not supported: images, probes, hooks, resource limits, ephemeral containers, sidecars.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../cluster/api-client.ts';
import type { Machine } from '../machines/index.ts';
import { CsiAttacher } from './csi-attacher.ts';
import { PodEvents } from './events.ts';
import { NodeLink } from './node-link.ts';
import { NodeObjects } from './node-objects.ts';
import type { NodeSnapshot } from './node-snapshot.ts';
import type { Node, Pod } from './objects.ts';
import { PodWorker } from './pod-worker.ts';
import { VolumesInUse } from './volumes-in-use.ts';
import { Watched } from './watched.ts';

export interface KubeletSettings {
  readonly machine: Machine;
  /** With the rights of the node, `system:node:<name>`. */
  readonly client: ApiClient;
  /** With the rights of the CSI driver. */
  readonly driverClient: ApiClient;
  readonly holdDirectory: string;
  /** Where pods find the API server. */
  readonly apiserver: { readonly host: string; readonly port: string };
}

/** A fifth of the time after which the controller manager gives the node up. */
const LEASE_INTERVAL_MS = 4000;
/** The controller manager looks whether a volume may be detached only when it hears of the node. */
const STATUS_INTERVAL_MS = 8000;
/** Between two looks when nothing was heard: back-offs and grace periods end without anybody's saying so. */
const LONGEST_PAUSE_MS = 1000;

export class Kubelet {
  readonly #machine: Machine;
  readonly #link: NodeLink;
  readonly #objects: NodeObjects;
  readonly #pods: Watched<Pod>;
  readonly #nodes: Watched<Node>;
  readonly #attacher: CsiAttacher;
  readonly #volumesInUse: VolumesInUse;
  readonly #events: PodEvents;
  readonly #worker: PodWorker;
  /** Pods that are being worked on. */
  readonly #busy = new Set<string>();
  /** What was asked for again while it was under way. */
  readonly #again = new Set<string>();
  #registeredBoot: string | undefined;
  #wake: () => void = () => undefined;

  constructor(settings: KubeletSettings) {
    const { machine, client, driverClient, apiserver } = settings;
    const wake = (): void => this.#wake();
    this.#machine = machine;
    this.#link = new NodeLink(machine, wake);
    this.#objects = new NodeObjects(client, machine);
    this.#pods = new Watched(client, `/api/v1/pods?fieldSelector=spec.nodeName%3D${machine.name}`, wake);
    this.#nodes = new Watched(client, `/api/v1/nodes?fieldSelector=metadata.name%3D${machine.name}`, wake);
    this.#attacher = new CsiAttacher(driverClient, machine.name, wake);
    this.#volumesInUse = new VolumesInUse(this.#objects);
    this.#events = new PodEvents(client, machine.name);
    this.#worker = new PodWorker({
      ...settings,
      volumesInUse: this.#volumesInUse,
      events: this.#events,
      environment: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        KUBERNETES_SERVICE_HOST: apiserver.host,
        KUBERNETES_SERVICE_PORT: apiserver.port,
      },
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#link.run(signal),
      this.#pods.run(signal),
      this.#nodes.run(signal),
      this.#attacher.run(signal),
      this.#every(LEASE_INTERVAL_MS, signal, () => this.#keepLease()),
      this.#loop(signal),
    ]);
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#sync();
      const pause = new AbortController();
      await Promise.race([woken, sleep(LONGEST_PAUSE_MS, undefined, { signal: pause.signal }).catch(() => undefined)]);
      pause.abort();
    }
  }

  /** Begins whatever is to be done; does not wait for it. */
  #sync(): void {
    const snapshot = this.#link.snapshot;
    const pods = this.#pods.objects;
    void this.#attacher.sync(snapshot && handlesOn(snapshot));
    if (!snapshot || !pods || this.#registeredBoot === undefined) {
      if (snapshot && this.#registeredBoot === undefined) this.#attempt('node', () => this.#keepLease());
      return;
    }

    const attached = new Set(
      [...(this.#nodes.objects?.values() ?? [])].flatMap(({ status }) => (status?.volumesAttached ?? []).map(({ name }) => name)),
    );
    const heardAt = this.#link.heardAt;
    for (const [uid, pod] of pods) this.#attempt(uid, () => this.#worker.sync(pod, snapshot, heardAt, attached));
    for (const uid of snapshot.pods.keys()) if (!pods.has(uid)) this.#attempt(uid, () => this.#worker.discard(uid, heardAt));
    this.#attempt('volumesInUse', () => this.#volumesInUse.report(snapshot));
    const uids = new Set([...pods.keys(), ...snapshot.pods.keys()]);
    this.#events.keepOnly(uids);
    this.#worker.keepOnly(uids);
  }

  /** One action under a name at a time; what it throws is logged, and the next look tries again. */
  #attempt(name: string, action: () => Promise<void>): void {
    if (this.#busy.has(name)) {
      this.#again.add(name);
      return;
    }
    this.#busy.add(name);
    action()
      .catch((error: unknown) => console.log(`${name}: ${error instanceof Error ? error.message : error}`))
      .finally(() => {
        this.#busy.delete(name);
        if (this.#again.delete(name)) this.#wake();
      });
  }

  async #keepLease(): Promise<void> {
    const snapshot = this.#link.snapshot;
    if (!snapshot) return;
    if (this.#registeredBoot !== snapshot.bootId) {
      await this.#register(snapshot.bootId);
      return;
    }
    await this.#objects.renewLease();
    const [node] = [...(this.#nodes.objects?.values() ?? [])];
    const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready');
    const age = Date.now() - Date.parse(ready?.lastHeartbeatTime ?? '');
    if (ready?.status !== 'True' || !(age < STATUS_INTERVAL_MS)) await this.#objects.reportReady(node);
  }

  async #register(bootId: string): Promise<void> {
    const { stdout } = await this.#machine.exec("uname -r; awk '/MemTotal/ {print $2}' /proc/meminfo", { timeoutSeconds: 10 });
    const [kernelVersion = '', memoryKiB] = stdout.trim().split('\n');
    await this.#objects.register({ bootId, kernelVersion, memoryKiB: Number(memoryKiB) });
    this.#registeredBoot = bootId;
    console.log(`registered ${this.#machine.name}, boot ${bootId}`);
    this.#wake();
  }

  async #every(milliseconds: number, signal: AbortSignal, action: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      this.#attempt('node', action);
      await sleep(milliseconds);
    }
  }
}

function handlesOn(snapshot: NodeSnapshot): Set<string> {
  return new Set([...snapshot.pods.values()].flatMap(({ claims }) => [...claims.values()]));
}

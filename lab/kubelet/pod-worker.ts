/**
 * Brings one pod nearer to what the API server wants of it, one step at a call:
 *
 *     to run:    volumes attached -> prepared -> containers started
 *     deleted:   SIGTERM -> the grace period -> removed from the node -> the object deleted
 *     ended:     its volumes released, its logs kept until it is deleted
 *     evicted:   SIGTERM -> its volumes mounted for a while -> as ended
 *
 * A step reads everything anew, from the API server's watch and the node's report; it may be repeated at will.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiClient } from '../cluster/api-client.ts';
import { CommandError } from '../command.ts';
import type { Machine } from '../machines/index.ts';
import type { PodEvents } from './events.ts';
import { type ContainerStart, prepareScript, RUNTIME, startScript } from './node-scripts.ts';
import type { NodeSnapshot, PodOnNode } from './node-snapshot.ts';
import { type Pod, podPath, uniqueVolumeName } from './objects.ts';
import { allEnded, containersToStart, isTerminal, mountLingers, podStatus, statusDiffers } from './pod-lifecycle.ts';
import { PodSources } from './pod-sources.ts';
import { deviceOf, nodeVolumesOf, type PersistentVolumeOfPod, persistentVolumesOf } from './pod-volumes.ts';
import type { VolumesInUse } from './volumes-in-use.ts';

export interface PodWorkerSettings {
  readonly machine: Machine;
  /** With the rights of the node, `system:node:<name>`. */
  readonly client: ApiClient;
  /** With the rights of the CSI driver. */
  readonly driverClient: ApiClient;
  readonly volumesInUse: VolumesInUse;
  readonly events: PodEvents;
  /** A file `<namespace>_<owner>` in it keeps the containers of that owner's pods from being started. */
  readonly holdDirectory: string;
  /** What every container finds in its environment. */
  readonly environment: Readonly<Record<string, string>>;
}

export class PodWorker {
  readonly #settings: PodWorkerSettings;
  /** By uid, when something was last done on the node, in milliseconds since the epoch. A report from before it says nothing of the pod. */
  readonly #actedAt = new Map<string, number>();

  constructor(settings: PodWorkerSettings) {
    this.#settings = settings;
  }

  /**
   * @param heardAt when the snapshot came, in milliseconds since the epoch.
   * @param attached names as in `node.status.volumesAttached`.
   */
  async sync(pod: Pod, snapshot: NodeSnapshot, heardAt: number, attached: ReadonlySet<string>): Promise<void> {
    if (this.#isOutdated(pod.metadata.uid, heardAt)) return;
    const onNode = snapshot.pods.get(pod.metadata.uid);
    await this.#reportStatus(pod, onNode);
    if (pod.metadata.deletionTimestamp) await this.#stop(pod, onNode, Date.parse(pod.metadata.deletionTimestamp));
    else if (isTerminal(pod)) await (mountLingers(pod, Date.now()) ? this.#terminate(pod, onNode) : this.#release(pod, onNode));
    else await this.#run(pod, snapshot, attached);
  }

  /** Ends and forgets a pod that the API server does not have. */
  async discard(uid: string, heardAt: number): Promise<void> {
    if (this.#isOutdated(uid, heardAt)) return;
    this.#settings.volumesInUse.forget(uid);
    await this.#onNode('remove', uid);
  }

  /** Forgets pods that are gone. */
  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of this.#actedAt.keys()) if (!uids.has(uid)) this.#actedAt.delete(uid);
  }

  #isOutdated(uid: string, heardAt: number): boolean {
    return heardAt <= (this.#actedAt.get(uid) ?? 0);
  }

  async #reportStatus(pod: Pod, onNode: PodOnNode | undefined): Promise<void> {
    const { client, machine } = this.#settings;
    const status = podStatus(pod, onNode, machine.managementAddress, new Date().toISOString());
    if (statusDiffers(pod, status)) await client.patch(`${podPath(pod)}/status`, { status }, 'application/strategic-merge-patch+json');
  }

  async #run(pod: Pod, snapshot: NodeSnapshot, attached: ReadonlySet<string>): Promise<void> {
    const onNode = snapshot.pods.get(pod.metadata.uid);
    const starts = containersToStart(pod, onNode, Date.now() / 1000);
    if (starts.length === 0 || this.#isHeld(pod)) return;
    const { client, volumesInUse, events } = this.#settings;
    try {
      const persistent = await persistentVolumesOf(client, pod);
      volumesInUse.need(
        pod.metadata.uid,
        persistent.map(({ handle }) => handle),
      );
      await volumesInUse.report(snapshot);
      if (!persistent.every(({ handle }) => attached.has(uniqueVolumeName(handle)))) return;
      await this.#start(pod, starts, persistent, onNode?.prepared ?? false);
    } catch (error) {
      await events.record(pod, 'Warning', 'FailedMount', reasonOf(error));
    }
  }

  async #start(
    pod: Pod,
    starts: readonly ContainerStart[],
    persistent: readonly PersistentVolumeOfPod[],
    prepared: boolean,
  ): Promise<void> {
    const { client, driverClient, machine, environment, events } = this.#settings;
    const sources = await PodSources.read(client, pod, machine.managementAddress);
    // What is mounted stays mounted: where the volume is matters only once.
    const device = prepared
      ? async (handle: string) => ({ volumeGroup: '', logicalVolume: handle, replicated: false })
      : (handle: string) => deviceOf(driverClient, machine.name, handle);
    const volumes = await nodeVolumesOf(pod, sources, persistent, device);
    const script = startScript(pod, starts, volumes, sources, environment);
    try {
      await machine.exec(prepared ? script : `${prepareScript(pod, volumes)}${script}`, { timeoutSeconds: 60 });
    } finally {
      this.#actedAt.set(pod.metadata.uid, Date.now());
    }
    await events.record(
      pod,
      'Normal',
      'Started',
      `started ${starts.map(({ container, attempt }) => `${container.name} (attempt ${attempt})`).join(', ')}`,
    );
  }

  async #stop(pod: Pod, onNode: PodOnNode | undefined, deadline: number): Promise<void> {
    const { uid } = pod.metadata;
    const { client, volumesInUse, events } = this.#settings;
    if (!onNode) {
      volumesInUse.forget(uid);
      await client.delete(podPath(pod), { gracePeriodSeconds: 0, preconditions: { uid } });
      return;
    }
    if (!allEnded(onNode) && Date.now() < deadline) {
      if (onNode.stopping) return;
      await events.record(pod, 'Normal', 'Killing', 'SIGTERM to every container');
      await this.#onNode('terminate', uid);
      return;
    }
    volumesInUse.forget(uid);
    try {
      await this.#onNode('remove', uid);
    } catch (error) {
      await events.record(pod, 'Warning', 'FailedKillPod', reasonOf(error));
    }
  }

  async #terminate({ metadata }: Pod, onNode: PodOnNode | undefined): Promise<void> {
    if (onNode && !onNode.stopping) await this.#onNode('terminate', metadata.uid);
  }

  async #release(pod: Pod, onNode: PodOnNode | undefined): Promise<void> {
    this.#settings.volumesInUse.forget(pod.metadata.uid);
    if (onNode && (onNode.prepared || onNode.claims.size > 0 || !allEnded(onNode))) await this.#onNode('release', pod.metadata.uid);
  }

  async #onNode(action: 'terminate' | 'release' | 'remove', uid: string): Promise<void> {
    try {
      await this.#settings.machine.exec([RUNTIME, action, uid], { timeoutSeconds: 60 });
    } finally {
      this.#actedAt.set(uid, Date.now());
    }
  }

  #isHeld({ metadata }: Pod): boolean {
    const owner = metadata.ownerReferences?.[0]?.name;
    return owner !== undefined && existsSync(join(this.#settings.holdDirectory, `${metadata.namespace}_${owner}`));
  }
}

/** What the node said, without the script that it said it of. */
function reasonOf(error: unknown): string {
  if (error instanceof CommandError && error.stderr.trim()) return error.stderr.trim();
  return error instanceof Error ? error.message : String(error);
}

/**
 * Plays the CSI driver's controller for one node: what external-attacher and HwameiStor's ControllerPublishVolume do.
 *
 * A volume is attached where it has a Ready replica; its LocalVolume's `status.publishedNode` says so. It is detached when the node has unmounted
 * it, or when the node does not answer: then nobody can use it there. Every VolumeAttachment gets an answer, or the controller manager waits minutes.
 */
import { type ApiClient, ApiError } from '../cluster/api-client.ts';
import { CSI_DRIVER, type Metadata, type PersistentVolume, type VolumeAttachment } from './objects.ts';
import { deviceOf } from './pod-volumes.ts';
import { Watched } from './watched.ts';

const FINALIZER = 'external-attacher/lvm-hwameistor-io';
const ATTACHMENTS = '/apis/storage.k8s.io/v1/volumeattachments';
const VOLUMES = '/api/v1/persistentvolumes';

export class CsiAttacher {
  readonly #client: ApiClient;
  readonly #node: string;
  readonly #attachments: Watched<VolumeAttachment>;
  readonly #volumes: Watched<PersistentVolume>;
  readonly #busy = new Set<string>();

  /** @param client with the rights of the driver's controller. @param onChange is called when there may be something to do. */
  constructor(client: ApiClient, node: string, onChange: () => void) {
    this.#client = client;
    this.#node = node;
    this.#attachments = new Watched(client, ATTACHMENTS, onChange);
    this.#volumes = new Watched(client, VOLUMES, onChange);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#attachments.run(signal), this.#volumes.run(signal)]);
  }

  /** @param mounted handles of the volumes in use on the node; undefined while it does not answer. */
  async sync(mounted: ReadonlySet<string> | undefined): Promise<void> {
    const attachments = [...(this.#attachments.objects?.values() ?? [])];
    const ours = attachments.filter(({ spec }) => spec.attacher === CSI_DRIVER && spec.nodeName === this.#node);
    const deleted = [...(this.#volumes.objects?.values() ?? [])].filter(({ metadata }) => metadata.deletionTimestamp);
    await Promise.all([
      ...ours.map((attachment) => this.#once(attachment.metadata.uid, () => this.#answer(attachment, mounted))),
      ...deleted.map((volume) => this.#once(volume.metadata.uid, () => this.#letGo(volume, attachments))),
    ]);
  }

  async #answer(attachment: VolumeAttachment, mounted: ReadonlySet<string> | undefined): Promise<void> {
    if (attachment.metadata.deletionTimestamp) return this.#detach(attachment, mounted);
    if (attachment.status?.attached) return;
    try {
      if (!mounted) throw new Error(`node ${this.#node} does not answer`);
      await this.#attach(attachment);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (attachment.status?.attachError?.message === message) return;
      const attachError = { message, time: new Date().toISOString() };
      await this.#client.patch(`${ATTACHMENTS}/${attachment.metadata.name}/status`, { status: { attached: false, attachError } });
    }
  }

  async #attach({ metadata, spec }: VolumeAttachment): Promise<void> {
    const volume = await this.#client.get<PersistentVolume>(`${VOLUMES}/${spec.source.persistentVolumeName}`);
    const handle = volume.spec.csi!.volumeHandle;
    await deviceOf(this.#client, this.#node, handle);
    await this.#addFinalizer(`${VOLUMES}/${volume.metadata.name}`, volume.metadata);
    await this.#addFinalizer(`${ATTACHMENTS}/${metadata.name}`, metadata);
    await this.#publish(handle, this.#node);
    await this.#client.patch(`${ATTACHMENTS}/${metadata.name}/status`, { status: { attached: true, attachError: null } });
    console.log(`attached ${handle}`);
  }

  async #detach({ metadata, spec }: VolumeAttachment, mounted: ReadonlySet<string> | undefined): Promise<void> {
    if (!metadata.finalizers?.includes(FINALIZER)) return;
    const volume = await this.#client.find<PersistentVolume>(`${VOLUMES}/${spec.source.persistentVolumeName}`);
    const handle = volume?.spec.csi?.volumeHandle;
    if (handle && mounted?.has(handle)) return;
    if (handle) await this.#publish(handle, '');
    await this.#removeFinalizer(`${ATTACHMENTS}/${metadata.name}`, metadata);
    console.log(`detached ${handle ?? spec.source.persistentVolumeName}`);
  }

  /** A PersistentVolume that is being deleted is let go when nothing has it attached. */
  async #letGo({ metadata }: PersistentVolume, attachments: readonly VolumeAttachment[]): Promise<void> {
    if (attachments.some(({ spec }) => spec.source.persistentVolumeName === metadata.name)) return;
    if (metadata.finalizers?.includes(FINALIZER)) await this.#removeFinalizer(`${VOLUMES}/${metadata.name}`, metadata);
  }

  /** @param node the empty string where the volume is published nowhere; another node's entry is left alone. */
  async #publish(handle: string, node: string): Promise<void> {
    const path = `/apis/hwameistor.io/v1alpha1/localvolumes/${handle}`;
    const volume = await this.#client.find<{ status?: { publishedNode?: string } }>(path);
    const published = volume?.status?.publishedNode ?? '';
    if (!volume || published === node || (node === '' && published !== this.#node)) return;
    await this.#client.patch(`${path}/status`, { status: { publishedNode: node } });
  }

  async #addFinalizer(path: string, { finalizers = [], resourceVersion }: Metadata): Promise<void> {
    if (finalizers.includes(FINALIZER)) return;
    await this.#client.patch(path, { metadata: { resourceVersion, finalizers: [...finalizers, FINALIZER] } });
  }

  async #removeFinalizer(path: string, { finalizers = [], resourceVersion }: Metadata): Promise<void> {
    await this.#client.patch(path, { metadata: { resourceVersion, finalizers: finalizers.filter((name) => name !== FINALIZER) } });
  }

  /** One action on an object at a time. What is refused because the object has changed is tried again at the next sync. */
  async #once(uid: string, action: () => Promise<void>): Promise<void> {
    if (this.#busy.has(uid)) return;
    this.#busy.add(uid);
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ApiError && [404, 409].includes(error.statusCode)))
        console.log(`attacher: ${error instanceof Error ? error.message : error}`);
    } finally {
      this.#busy.delete(uid);
    }
  }
}

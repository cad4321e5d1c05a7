/** The secrets, config maps and tokens that a pod refers to, read with the rights of its node. */
import { type ApiClient, ApiError } from '../cluster/api-client.ts';
import { fieldValue, PodConfigurationError, type References } from './environment.ts';
import { type KeyedData, type KeyToPath, type Pod, type ProjectedSource, podPath, type Volume } from './objects.ts';

/** File contents by path within the volume. */
export type Files = ReadonlyMap<string, Buffer>;

/** As kubelet asks for where a pod names no time; the API server lengthens those of its own admission plugin to a year. */
const TOKEN_SECONDS = 3600;

export class PodSources implements References {
  readonly nodeAddress: string;
  readonly #client: ApiClient;
  readonly #pod: Pod;
  /** By `secrets/name` and `configmaps/name`. */
  readonly #data = new Map<string, ReadonlyMap<string, Buffer>>();

  private constructor(client: ApiClient, pod: Pod, nodeAddress: string) {
    this.#client = client;
    this.#pod = pod;
    this.nodeAddress = nodeAddress;
  }

  /** Reads all that the pod's environment refers to. @throws PodConfigurationError where something of it does not exist yet. */
  static async read(client: ApiClient, pod: Pod, nodeAddress: string): Promise<PodSources> {
    const sources = new PodSources(client, pod, nodeAddress);
    const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    for (const { valueFrom } of containers.flatMap(({ env }) => env ?? [])) {
      if (valueFrom?.secretKeyRef) await sources.#read('secrets', valueFrom.secretKeyRef.name);
      if (valueFrom?.configMapKeyRef) await sources.#read('configmaps', valueFrom.configMapKeyRef.name);
    }
    for (const { secretRef, configMapRef } of containers.flatMap(({ envFrom }) => envFrom ?? [])) {
      if (secretRef) await sources.#readWhole('secrets', secretRef);
      if (configMapRef) await sources.#readWhole('configmaps', configMapRef);
    }
    return sources;
  }

  secretValue(name: string, key: string): string {
    return this.#value('secrets', name, key);
  }

  configMapValue(name: string, key: string): string {
    return this.#value('configmaps', name, key);
  }

  secretValues(name: string): ReadonlyMap<string, string> {
    return this.#values('secrets', name);
  }

  configMapValues(name: string): ReadonlyMap<string, string> {
    return this.#values('configmaps', name);
  }

  /** The files of a volume that Kubernetes fills, or undefined for one of another kind. @throws PodConfigurationError */
  async files({ secret, configMap, projected, downwardAPI }: Volume): Promise<Files | undefined> {
    if (secret) return this.#projected({ secret: { ...secret, name: secret.secretName } });
    if (configMap) return this.#projected({ configMap });
    if (downwardAPI) return this.#projected({ downwardAPI });
    if (!projected) return undefined;
    const parts = await Promise.all(projected.sources.map((source) => this.#projected(source)));
    return new Map(parts.flatMap((part) => [...part]));
  }

  async #projected({ serviceAccountToken, configMap, secret, downwardAPI }: ProjectedSource): Promise<Files> {
    if (serviceAccountToken) return new Map([[serviceAccountToken.path, await this.#token(serviceAccountToken)]]);
    if (configMap) return this.#selected('configmaps', configMap);
    if (secret) return this.#selected('secrets', secret);
    return new Map(
      downwardAPI?.items.map(({ path, fieldRef }) => [path, Buffer.from(fieldValue(this.#pod, fieldRef.fieldPath, this.nodeAddress))]),
    );
  }

  async #selected(
    kind: 'secrets' | 'configmaps',
    { name, items, optional }: { readonly name: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean },
  ): Promise<Files> {
    try {
      const data = await this.#read(kind, name);
      return items ? new Map(items.map(({ key, path }) => [path, this.#bytes(kind, name, key)])) : data;
    } catch (error) {
      if (optional && error instanceof PodConfigurationError) return new Map();
      throw error;
    }
  }

  async #token({ audience, expirationSeconds }: NonNullable<ProjectedSource['serviceAccountToken']>): Promise<Buffer> {
    const { metadata, spec } = this.#pod;
    const path = `/api/v1/namespaces/${metadata.namespace}/serviceaccounts/${spec.serviceAccountName}/token`;
    const { status } = await this.#client.create<{ status: { token: string } }>(path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...(audience && { audiences: [audience] }),
        expirationSeconds: expirationSeconds ?? TOKEN_SECONDS,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid },
      },
    });
    return Buffer.from(status.token);
  }

  async #readWhole(kind: 'secrets' | 'configmaps', { name, optional }: { readonly name: string; readonly optional?: boolean }) {
    try {
      await this.#read(kind, name);
    } catch (error) {
      if (!(optional && error instanceof PodConfigurationError)) throw error;
    }
  }

  async #read(kind: 'secrets' | 'configmaps', name: string): Promise<ReadonlyMap<string, Buffer>> {
    const known = this.#data.get(`${kind}/${name}`);
    if (known) return known;
    const object = await this.#find(kind, name);
    if (!object) throw new PodConfigurationError(`${kind.slice(0, -1)} ${name} does not exist`);
    const text = kind === 'secrets' ? 'base64' : 'utf8';
    const data = new Map([
      ...Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, text)] as const),
      ...Object.entries(object.binaryData ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const),
    ]);
    this.#data.set(`${kind}/${name}`, data);
    return data;
  }

  async #find(kind: string, name: string): Promise<KeyedData | undefined> {
    try {
      return await this.#client.find<KeyedData>(`/api/v1/namespaces/${this.#pod.metadata.namespace}/${kind}/${name}`);
    } catch (error) {
      // The node authorizer learns of a pod a moment after the node does, and of an object that nobody refers to never.
      if (error instanceof ApiError && error.statusCode === 403) return undefined;
      throw error;
    }
  }

  #value(kind: 'secrets' | 'configmaps', name: string, key: string): string {
    return this.#bytes(kind, name, key).toString('utf8');
  }

  #values(kind: 'secrets' | 'configmaps', name: string): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#data.get(`${kind}/${name}`) ?? [], ([key, bytes]) => [key, bytes.toString('utf8')]));
  }

  #bytes(kind: 'secrets' | 'configmaps', name: string, key: string): Buffer {
    const bytes = this.#data.get(`${kind}/${name}`)?.get(key);
    if (!bytes) throw new PodConfigurationError(`${podPath(this.#pod)}: ${kind.slice(0, -1)} ${name} has no key ${key}`);
    return bytes;
  }
}

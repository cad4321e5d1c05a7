/**
 * The kinds of object this project reads and writes, each with its address in the API and its type.
 *
 * The types are those of the client library as they travel: JSON, in which times are strings. Nothing here is a value of that library, so a
 * module that only names kinds does not load it.
 */
import type {
  EventsV1Event,
  V1CSINode,
  V1CustomResourceDefinition,
  V1Lease,
  V1MutatingWebhookConfiguration,
  V1Namespace,
  V1Node,
  V1ObjectMeta,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1Pod,
  V1StorageClass,
  V1VolumeAttachment,
} from '@kubernetes/client-node';

/** A type of the client library as JSON. */
export type AsJson<T> = T extends Date ? string : T extends object ? { [K in keyof T]: AsJson<T[K]> } : T;

/** What the API server always sets. */
export interface ObjectMetadata extends Omit<AsJson<V1ObjectMeta>, 'name' | 'uid' | 'resourceVersion' | 'managedFields'> {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly managedFields?: readonly unknown[];
}

/** The least that is known of an object of any kind that the API server has answered. */
export interface KubeObject {
  readonly metadata: ObjectMetadata;
}

/** A type of the client library as the API server answers it. */
export type Stored<T> = Omit<AsJson<T>, 'metadata'> & KubeObject;

export type Node = Stored<V1Node>;
export type Pod = Stored<V1Pod>;
export type PersistentVolume = Stored<V1PersistentVolume>;
export type PersistentVolumeClaim = Stored<V1PersistentVolumeClaim>;
export type VolumeAttachment = Stored<V1VolumeAttachment>;
export type CsiNode = Stored<V1CSINode>;
export type Lease = Stored<V1Lease>;
export type MutatingWebhookConfiguration = Stored<V1MutatingWebhookConfiguration>;
export type KubeEvent = Stored<EventsV1Event>;

/** Where objects of one kind live, and their type. */
export interface Resource<T extends KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** As in the address: lower case, plural. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set: carries the type. */
  readonly objectType?: T;
}

/** Names an object of a known kind; `namespace` exactly where the kind is namespaced. */
export interface ObjectName {
  readonly name: string;
  readonly namespace?: string;
}

const core = { group: '', version: 'v1' } as const;

export const nodes: Resource<Node> = { ...core, kind: 'Node', plural: 'nodes', namespaced: false };
export const namespaces: Resource<Stored<V1Namespace>> = { ...core, kind: 'Namespace', plural: 'namespaces', namespaced: false };
export const pods: Resource<Pod> = { ...core, kind: 'Pod', plural: 'pods', namespaced: true };
export const persistentVolumes: Resource<PersistentVolume> = {
  ...core,
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  namespaced: false,
};
export const persistentVolumeClaims: Resource<PersistentVolumeClaim> = {
  ...core,
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  namespaced: true,
};
export const volumeAttachments: Resource<VolumeAttachment> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttachment',
  plural: 'volumeattachments',
  namespaced: false,
};
export const csiNodes: Resource<CsiNode> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSINode',
  plural: 'csinodes',
  namespaced: false,
};
export const storageClasses: Resource<Stored<V1StorageClass>> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  namespaced: false,
};
export const leases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};
export const events: Resource<KubeEvent> = { group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };
export const customResourceDefinitions: Resource<Stored<V1CustomResourceDefinition>> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};

export const mutatingWebhookConfigurations: Resource<MutatingWebhookConfiguration> = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  namespaced: false,
};

/** `v1`, `storage.k8s.io/v1` … */
export function apiVersionOf(resource: Pick<Resource<KubeObject>, 'group' | 'version'>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The key of an object in stores and queues: `namespace/name`, or the name alone. */
export function keyOf({ name, namespace }: ObjectName): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The path of a collection, or of one object, on the API server. @throws where a namespaced object is named without its namespace. */
export function pathOf<T extends KubeObject>(
  resource: Resource<T>,
  { name, namespace }: { readonly name?: string; readonly namespace?: string },
  subresource?: string,
): string {
  if (resource.namespaced && name !== undefined && namespace === undefined)
    throw new Error(`${resource.kind} ${name} is named without its namespace`);
  // In an address they would lead to another object, or to all of them.
  if (name === '.' || name === '..') throw new Error(`${resource.kind} cannot be called ${name}`);
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const segments = [resource.plural, ...(name === undefined ? [] : [name]), ...(subresource === undefined ? [] : [subresource])];
  const scope = resource.namespaced && namespace !== undefined ? ['namespaces', namespace] : [];
  return [root, ...[...scope, ...segments].map(encodeURIComponent)].join('/');
}

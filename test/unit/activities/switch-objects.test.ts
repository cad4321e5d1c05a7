/** What only a world in which the watches lag, or another attempt acts beside this one, brings about. */
import { expect, test } from 'vitest';
import type { ClusterDependencies } from '../../../activities/cluster/dependencies.ts';
import { removeSourceReplica, switchObjects } from '../../../activities/cluster/switch-objects.ts';
import { KubeError } from '../../../system/kube/errors.ts';
import {
  NodeAffinityProbe,
  type RebindOptions,
  type RebindRecord,
  rebindPersistentVolume,
} from '../../../system/kube/rebind-persistent-volume.ts';
import type { PersistentVolume } from '../../../system/kube/resources.ts';
import { storeOf } from '../stores.ts';

interface Resource {
  readonly plural: string;
}

const replica = (name: string, nodeName: string) => ({ metadata: { name, uid: `uid-${name}` }, spec: { volumeName: 'data', nodeName } });
const persistentVolume = { metadata: { name: 'pv' }, spec: { csi: { driver: 'lvm.hwameistor.io', volumeHandle: 'data' } } };
const migrate = () => ({
  metadata: { name: 'data-000000', uid: 'u' },
  spec: { volumeName: 'data', sourceNode: 'n1' },
  status: { phase: 'CuttingOver', pointOfNoReturn: true, target: { node: 'n2' } } as Record<string, unknown>,
});
const request = {
  ref: { name: 'data-000000', uid: 'u', volume: 'data' },
  sourceNode: 'n1',
  target: { node: 'n2', storageAddress: '10.0.0.2' },
  sizeBytes: 1,
  pool: 'hdd',
};

/** @param find what the API server says, where the stores say something else. */
async function switchWith(stores: object, find: (resource: Resource) => unknown): Promise<{ plural: string; name: string }[]> {
  const made: { plural: string; name: string; object: object }[] = [];
  const kube = {
    find: async (resource: Resource) => find(resource) ?? made.findLast(({ plural }) => plural === resource.plural)?.object,
    list: async () => [],
    create: async (resource: Resource, { metadata, ...rest }: { readonly metadata: { readonly name: string } }) => {
      const object = { ...rest, metadata: { ...metadata, uid: 'new' } };
      made.push({ plural: resource.plural, name: metadata.name, object });
      return object;
    },
  };
  const empty = storeOf();
  const known = { nodes: empty, localVolumes: empty, persistentVolumes: empty, persistentVolumeClaims: empty, localVolumeReplicas: empty };
  const events = { tell: async () => undefined };
  const deps = { kube, stores: { ...known, ...stores }, events, reachFaultPoint: () => undefined };
  await switchObjects(deps as unknown as ClusterDependencies)(request);
  return made.map(({ plural, name }) => ({ plural, name }));
}

test('a PersistentVolume that another attempt has just deleted is made again, and not taken for one that never was', async () => {
  const target = replica('data-n2', 'n2');
  const current = migrate();
  const made = await switchWith({ localVolumeReplicas: storeOf(target) }, ({ plural }) => {
    if (plural === 'localvolumereplicas') return target;
    if (plural !== 'localvolumemigrates') return undefined;
    const seen = structuredClone(current);
    // The other attempt records it and deletes it when this one has read the record.
    current.status['persistentVolume'] = { uid: 'p1', manifest: persistentVolume };
    return seen;
  });
  expect(made).toEqual([{ plural: 'persistentvolumes', name: 'pv' }]);
});

test('a replica on the target that is gone is made again, though the store has not heard of it', async () => {
  const replicas = storeOf(replica('data-n1', 'n1'), replica('data-before', 'n2'));
  const made = await switchWith({ localVolumeReplicas: replicas, persistentVolumes: storeOf(persistentVolume) }, ({ plural }) => {
    if (plural === 'localvolumemigrates') return migrate();
    return plural === 'persistentvolumes' ? persistentVolume : undefined;
  });
  expect(made.map(({ plural }) => plural)).toEqual(['localvolumereplicas']);
});

test('the replica on the source goes, though the store has not heard of it', async () => {
  const removed: string[] = [];
  const kube = {
    find: async () => migrate(),
    list: async ({ plural }: Resource) =>
      plural === 'localvolumereplicas' ? [replica('data-n1', 'n1'), { ...replica('log-n1', 'n1'), spec: { volumeName: 'log' } }] : [],
    delete: async (_: Resource, { name }: { readonly name: string }) => void removed.push(name),
  };
  const deps = { kube, stores: { localVolumeReplicas: storeOf() } } as unknown as ClusterDependencies;
  await removeSourceReplica(deps)({ ref: request.ref, sourceNode: 'n1' });
  expect(removed).toEqual(['data-n1']);
});

test('an API server that let the node affinity be changed once, and does no longer, is asked again', async () => {
  const affinityTo = (node: string) => ({
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] }] },
  });
  const meta = { name: 'pv', uid: 'u', resourceVersion: '1' };
  const spec = { persistentVolumeReclaimPolicy: 'Delete', nodeAffinity: affinityTo('n1') };
  let volume: { metadata: typeof meta; spec: typeof spec } | undefined = { metadata: meta, spec };
  let isMutable = true;
  const client = {
    find: async () => volume,
    list: async () => [],
    jsonPatch: async (_: Resource, __: object, operations: readonly { readonly op: string; readonly path: string }[], options?: object) => {
      const changesAffinity = operations.some(({ op, path }) => path === '/spec/nodeAffinity' && op === 'replace');
      if (changesAffinity && !isMutable)
        throw KubeError.fromAnswer('PATCH', 422, JSON.stringify({ reason: 'Invalid', message: 'is immutable' }));
      if (volume && !options && !changesAffinity) volume = { ...volume, spec: { ...volume.spec, persistentVolumeReclaimPolicy: 'Retain' } };
      return volume;
    },
    delete: async () => {
      volume = undefined;
    },
    create: async (_: Resource, manifest: { readonly spec: typeof spec }, { dryRun }: { readonly dryRun?: boolean } = {}) => {
      if (dryRun) return;
      volume = { ...manifest, metadata: { ...meta, uid: 'made again' } };
    },
  };
  const probe = new NodeAffinityProbe();
  const options = { client, probe, record: recordInMemory() } as unknown as RebindOptions;
  expect(await probe.isMutable(options.client, volume as unknown as PersistentVolume, affinityTo('n2'))).toBe(true);
  isMutable = false;
  const node = (name: string) => ({ name, labels: {} });
  await rebindPersistentVolume({ persistentVolume: 'pv', source: node('n1'), target: node('n2') }, options);
  expect(volume?.spec.nodeAffinity).toEqual(affinityTo('n2'));
});

function recordInMemory() {
  let record: RebindRecord | undefined;
  return {
    read: async () => record,
    write: async (written: RebindRecord | undefined) => {
      record = written;
    },
  };
}

/** Makes a volume as HwameiStor would: a logical volume on a node, and the objects that describe it. */
import { randomInt } from 'node:crypto';
import type { ApiClient } from '../cluster/api-client.ts';
import type { Machine } from '../machines/index.ts';
import { waitFor } from '../wait.ts';
import {
  localVolume,
  localVolumeGroup,
  localVolumeReplica,
  POOL,
  persistentVolume,
  persistentVolumeClaim,
  replicatedDevice,
  THIN_POOL,
  type VolumeDescription,
  type WithStatus,
} from './objects.ts';
import { volumeBytes } from './quantity.ts';
import { connectReplicas, requireDrbd84 } from './replicated.ts';

export interface VolumeRequest {
  /** Of the logical volume, LocalVolume, PersistentVolume and PersistentVolumeClaim alike. */
  readonly name: string;
  /** Two: DRBD keeps it on both, and a pod may run on either. */
  readonly node: string | readonly string[];
  /** As Kubernetes writes quantities: `256Mi`. Rounded up to 4 MiB. */
  readonly size: string;
  /** Default `ext4`. `block` is a raw device: the claim's volumeMode is Block. */
  readonly fileSystem?: 'ext4' | 'xfs' | 'block';
  /** Takes space from the pool only as it is written to: from a thin pool, which every node gets with the first such volume. */
  readonly thin?: boolean;
  /** The pod whose claims move together: its volumes share one LocalVolumeGroup. */
  readonly group?: string;
  /** Default `default`. It must exist. */
  readonly namespace?: string;
  /** Default `hostname`. `none` makes a PersistentVolume that any node may use, as HwameiStor does. */
  readonly affinity?: 'hostname' | 'topology' | 'none';
}

/** A quarter of a node's pool. */
const THIN_POOL_SIZE = '1G';

const HWAMEISTOR = '/apis/hwameistor.io/v1alpha1';

/** Makes the pool on the machine's data disk unless it stands: HwameiStor's volume group of hard disks. */
export async function ensurePool(machine: Machine): Promise<void> {
  await machine.exec(`vgs ${POOL} > /dev/null 2>&1 || { pvcreate -qq /dev/vda && vgcreate -qq ${POOL} /dev/vda; }`);
}

/** Makes the pool of thin volumes unless it stands. Nodes without it could not take a thin volume from another. */
export async function ensureThinPool(machine: Machine): Promise<void> {
  const make = `lvcreate -qq --yes --type thin-pool --size ${THIN_POOL_SIZE} --name ${THIN_POOL} ${POOL}`;
  await machine.exec(`lvs ${POOL}/${THIN_POOL} > /dev/null 2>&1 || ${make}`);
}

/**
 * Returns when the claim is bound.
 * @param machines those that the request names.
 * @throws where something of that name stands already, and for a request that makes no sense.
 */
export async function createVolume(request: VolumeRequest, machines: readonly Machine[], client: ApiClient): Promise<void> {
  const volume = describe(request, machines, machines.length > 1 ? await freeResourceId(client) : undefined);
  if (volume.resourceId !== undefined) await requireDrbd84(machines);
  await Promise.all(machines.map((machine) => createLogicalVolume(volume, machine)));
  if (volume.resourceId !== undefined) await connectReplicas(volume, volume.resourceId, machines);
  await machines[0]!.exec(formatScript(volume), { timeoutSeconds: 120 });

  await createWithStatus(client, `${HWAMEISTOR}/localvolumes`, localVolume(volume));
  for (const replica of volume.replicas) {
    await createWithStatus(client, `${HWAMEISTOR}/localvolumereplicas`, localVolumeReplica(volume, replica));
  }
  if (request.group) await joinGroup(client, volume, request.group);

  await client.create('/api/v1/persistentvolumes', persistentVolume(volume));
  const claims = `/api/v1/namespaces/${volume.namespace}/persistentvolumeclaims`;
  await client.create(claims, persistentVolumeClaim(volume));
  await waitFor(`claim ${volume.namespace}/${volume.name} is Bound`, async () => {
    const { status } = await client.get<{ status: { phase: string } }>(`${claims}/${volume.name}`);
    return status.phase === 'Bound';
  });
}

type Nodes = readonly { readonly name: string; readonly storageAddress: string }[];

/** Pure but for the replicas' names. @throws for a request that makes no sense. */
export function describe({ name, size, group, ...rest }: VolumeRequest, nodes: Nodes, resourceId: number | undefined): VolumeDescription {
  const names = nodes.map((node) => node.name);
  if (names.length < 1 || names.length > 2) throw new Error(`node ${names.join(',')}: a volume is on one node or on two`);
  if (names[0] === names[1]) throw new Error(`node ${names.join(',')}: two replicas need two nodes`);
  if (rest.thin && names.length > 1) throw new Error('a thin volume is on one node: those that DRBD keeps on two are thick');
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)) throw new Error(`volume name ${name}: use lower case letters, digits and hyphens`);
  const namespace = rest.namespace ?? 'default';
  return {
    name,
    namespace,
    bytes: volumeBytes(size),
    fileSystem: rest.fileSystem ?? 'ext4',
    affinity: rest.affinity ?? 'hostname',
    ...(group && { groupName: `${namespace}-${group}` }),
    thin: rest.thin ?? false,
    replicas: nodes.map((node) => ({ name: `${name}-${randomSuffix()}`, node })),
    resourceId,
  };
}

/** The lowest that no volume has: port and minor of a resource are made of it. */
async function freeResourceId(client: ApiClient): Promise<number> {
  const { items } = await client.get<{ items: { spec: { config?: { resourceID?: number } } }[] }>(`${HWAMEISTOR}/localvolumes`);
  const taken = new Set(items.map(({ spec }) => spec.config?.resourceID));
  let id = 0;
  while (taken.has(id)) id++;
  return id;
}

async function createLogicalVolume({ name, bytes, thin }: VolumeDescription, machine: Machine): Promise<void> {
  if (thin) {
    await machine.exec(['lvcreate', '-qq', '--yes', '--virtualsize', `${bytes}B`, '--thinpool', THIN_POOL, '--name', name, POOL]);
  } else {
    await machine.exec(['lvcreate', '-qq', '--yes', '--size', `${bytes}B`, '--stripes', '1', '--name', name, POOL]);
  }
}

/** Makes the file system, through DRBD where there are two replicas: only its primary end may write. */
function formatScript({ name, fileSystem, resourceId }: VolumeDescription): string {
  if (fileSystem === 'block') return 'true';
  const make = (device: string): string => `/sbin/mkfs.${fileSystem} -q ${device}`;
  if (resourceId === undefined) return make(`/dev/${POOL}/${name}`);
  return `drbdadm primary ${name} && ${make(replicatedDevice(name))} && drbdadm secondary ${name}`;
}

async function createWithStatus(client: ApiClient, path: string, { object, status }: WithStatus): Promise<void> {
  const { metadata } = await client.create<{ metadata: { name: string } }>(path, object);
  await client.patch(`${path}/${metadata.name}/status`, { status });
}

async function joinGroup(client: ApiClient, volume: VolumeDescription, pod: string): Promise<void> {
  const path = `${HWAMEISTOR}/localvolumegroups`;
  const group = await client.find<{ spec: { volumes?: object[] } }>(`${path}/${volume.groupName}`);
  const wanted = localVolumeGroup(volume, pod, group?.spec.volumes ?? []);
  if (group) await client.patch(`${path}/${volume.groupName}`, wanted);
  else await client.create(path, wanted);
}

/** As Kubernetes' generated names end: no vowels, so no words. */
function randomSuffix(): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  return Array.from({ length: 6 }, () => alphabet[randomInt(alphabet.length)]).join('');
}

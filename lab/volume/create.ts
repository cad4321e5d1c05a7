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
  type VolumeDescription,
  type WithStatus,
} from './objects.ts';
import { volumeBytes } from './quantity.ts';

export interface VolumeRequest {
  /** Of the logical volume, LocalVolume, PersistentVolume and PersistentVolumeClaim alike. */
  readonly name: string;
  readonly node: string;
  /** As Kubernetes writes quantities: `256Mi`. Rounded up to 4 MiB. */
  readonly size: string;
  /** Default `ext4`. `block` is a raw device: the claim's volumeMode is Block. */
  readonly fileSystem?: 'ext4' | 'xfs' | 'block';
  /** The pod whose claims move together: its volumes share one LocalVolumeGroup. */
  readonly group?: string;
  /** Default `default`. It must exist. */
  readonly namespace?: string;
  /** Default `hostname`. `none` makes a PersistentVolume that any node may use, as HwameiStor does. */
  readonly affinity?: 'hostname' | 'topology' | 'none';
}

const HWAMEISTOR = '/apis/hwameistor.io/v1alpha1';

/** Makes the pool on the machine's data disk unless it stands: HwameiStor's volume group of hard disks. */
export async function ensurePool(machine: Machine): Promise<void> {
  await machine.exec(`vgs ${POOL} > /dev/null 2>&1 || { pvcreate -qq /dev/vda && vgcreate -qq ${POOL} /dev/vda; }`);
}

/** Returns when the claim is bound. @throws where something of that name stands already, and for a name or size that is none. */
export async function createVolume(request: VolumeRequest, machine: Machine, client: ApiClient): Promise<void> {
  const volume = describe(request, machine);
  await createLogicalVolume(volume, machine);
  await createWithStatus(client, `${HWAMEISTOR}/localvolumes`, localVolume(volume));
  await createWithStatus(client, `${HWAMEISTOR}/localvolumereplicas`, localVolumeReplica(volume));
  if (request.group) await joinGroup(client, volume, request.group);

  await client.create('/api/v1/persistentvolumes', persistentVolume(volume));
  const claims = `/api/v1/namespaces/${volume.namespace}/persistentvolumeclaims`;
  await client.create(claims, persistentVolumeClaim(volume));
  await waitFor(`claim ${volume.namespace}/${volume.name} is Bound`, async () => {
    const { status } = await client.get<{ status: { phase: string } }>(`${claims}/${volume.name}`);
    return status.phase === 'Bound';
  });
}

function describe({ name, size, group, ...rest }: VolumeRequest, machine: Machine): VolumeDescription {
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)) throw new Error(`volume name ${name}: use lower case letters, digits and hyphens`);
  const namespace = rest.namespace ?? 'default';
  return {
    name,
    namespace,
    bytes: volumeBytes(size),
    fileSystem: rest.fileSystem ?? 'ext4',
    affinity: rest.affinity ?? 'hostname',
    ...(group && { groupName: `${namespace}-${group}` }),
    node: machine,
    replicaName: `${name}-${randomSuffix()}`,
  };
}

async function createLogicalVolume({ name, bytes, fileSystem }: VolumeDescription, machine: Machine): Promise<void> {
  await machine.exec(['lvcreate', '-qq', '--yes', '--size', `${bytes}B`, '--stripes', '1', '--name', name, POOL]);
  const device = `/dev/${POOL}/${name}`;
  if (fileSystem === 'ext4') await machine.exec(['/sbin/mkfs.ext4', '-q', device]);
  if (fileSystem === 'xfs') await machine.exec(['/sbin/mkfs.xfs', '-q', device]);
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

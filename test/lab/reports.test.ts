/** What the agent on n2 and the controller say of its storage, held field by field to what vgs, pvs and lvs print there. */
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Cluster, eventually, POOL } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const SECONDS_TO_REPORT = 10;
const THIN_POOL = 'LocalStorage_ThinPool';

beforeEach(() => cluster.reset());

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}
interface StorageNode {
  readonly spec: object;
  readonly status: { readonly state: string; readonly pools: Readonly<Record<string, object>>; readonly conditions: readonly Condition[] };
}
interface Replica {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly volumeName: string };
  readonly status: object;
}
interface Volume {
  readonly status: object;
}

test('an agent keeps every field of its LocalStorageNode as vgs, pvs and lvs say, within 10 s of a change', async () => {
  const n2 = lab.machine('n2');
  onTestFinished(async () => {
    // What lives in the thin pool goes with it.
    await n2.exec(['lvremove', '-y', '--select', `lv_name=nobodys || lv_name=${THIN_POOL}`, POOL]);
  });
  await cluster.filledVolume('one', 'n2', '16Mi');
  await cluster.filledVolume('two', 'n2', '20Mi');
  await n2.exec(['lvcreate', '-y', '-L', '12M', '-n', 'nobodys', POOL]);
  await n2.exec(['lvcreate', '-y', '--type', 'thin-pool', '-L', '64M', '--poolmetadatasize', '4M', '-n', THIN_POOL, POOL]);
  await n2.exec(['lvcreate', '-y', '-V', '48M', '--thinpool', THIN_POOL, '-n', 'thin-one', POOL]);
  await n2.exec(`dd if=/dev/urandom of=/dev/${POOL}/thin-one bs=1M count=8 conv=fsync 2>/dev/null`);

  const pool = await poolByLvm();
  await eventually('pool as LVM says', SECONDS_TO_REPORT, async () => {
    const { status } = await cluster.get<StorageNode>('localstoragenode', 'n2');
    expect(status.pools).toEqual({ [POOL]: pool });
    return true;
  });
  const { spec, status } = await cluster.get<StorageNode>('localstoragenode', 'n2');
  expect(spec).toEqual({ hostname: 'n2', storageIP: '10.77.0.2', topogoly: { zone: 'default', region: 'default' } });
  expect(Object.keys(status).sort()).toEqual(['conditions', 'pools', 'state']);
  expect(status.state).toBe('Ready');
  expect(status.conditions).toMatchObject([{ type: 'Evacuated', status: 'False', reason: 'NodeNotCordoned' }]);
});

test("an agent keeps every field of its LocalVolumeReplicas' status as lvs says, while the volume is used, and when it goes", async () => {
  const n2 = lab.machine('n2');
  await lab.createVolume({ name: 'one', node: 'n2', size: '16Mi', fileSystem: 'ext4' });
  const { name } = (await replicaOf('one')).metadata;
  const becomes = async (what: string, change: object): Promise<void> => {
    const expected = { ...(await replicaByLvm('one')), ...change };
    await eventually(`replica ${what}`, SECONDS_TO_REPORT, async () => {
      expect((await replicaOf('one')).status).toEqual(expected);
      return true;
    });
  };
  const condition = (status: string, reason: string): object => ({
    conditions: [expect.objectContaining({ type: 'Ready', status, reason })],
  });
  await becomes('as lvs says', { state: 'Ready', inuse: false, ...condition('True', 'Ready') });

  await n2.exec(`mkdir -p /run/reports-test && mount /dev/${POOL}/one /run/reports-test`);
  onTestFinished(async () => {
    await n2.exec('umount /run/reports-test 2>/dev/null || true');
  });
  await becomes('in use', { state: 'Ready', inuse: true, ...condition('True', 'Ready') });
  await n2.exec('umount /run/reports-test');

  await n2.exec(['lvchange', '-an', `${POOL}/one`]);
  await becomes('inactive', { state: 'NotReady', inuse: false, ...condition('False', 'Inactive') });
  await n2.exec(['lvchange', '-ay', `${POOL}/one`]);

  const wrong = { status: { state: 'NotReady', devPath: '/dev/null', allocatedCapacityBytes: 1 } };
  await lab.kubectl(['patch', 'localvolumereplica', name, '--subresource=status', '--type=merge', '-p', JSON.stringify(wrong)]);
  await becomes('put right', { state: 'Ready', ...condition('True', 'Ready') });

  await n2.exec(['lvremove', '-y', `${POOL}/one`]);
  const gone = { state: 'NotReady', synced: false, inuse: false, ...condition('False', 'LogicalVolumeMissing') };
  await eventually('replica without a logical volume', SECONDS_TO_REPORT, async () => {
    expect((await replicaOf('one')).status).toEqual(gone);
    return true;
  });
});

test("a LocalVolume's status is that of its replica and its logical volume, also when that goes", async () => {
  await lab.createVolume({ name: 'one', node: 'n2', size: '16Mi', fileSystem: 'ext4' });
  const replica = (await replicaOf('one')).metadata.name;
  const wrong = { status: { state: 'NotReady', replicas: [] } };
  await lab.kubectl(['patch', 'localvolume', 'one', '--subresource=status', '--type=merge', '-p', JSON.stringify(wrong)]);
  const [[size]] = (await report('lvs', '-o', 'lv_size', `${POOL}/one`)) as [[string]];
  const expected = {
    state: 'Ready',
    replicas: [replica],
    allocatedCapacityBytes: Number(size),
    // Not Rehome's to say: who made the volume, mounts it and publishes it wrote these.
    usedCapacityBytes: 0,
    publishedNode: '',
    fsType: 'ext4',
    rawblock: false,
  };
  const becomes = (status: object): Promise<boolean> =>
    eventually(`LocalVolume that says ${JSON.stringify(status)}`, SECONDS_TO_REPORT, async () => {
      expect((await cluster.get<Volume>('localvolume', 'one')).status).toEqual(status);
      return true;
    });
  await becomes(expected);
  await lab.machine('n2').exec(['lvremove', '-y', `${POOL}/one`]);
  await becomes({ ...expected, state: 'NotReady' });
});

async function replicaOf(volume: string): Promise<Replica> {
  const replicas = (await cluster.list<Replica>('localvolumereplicas')).filter(({ spec }) => spec.volumeName === volume);
  expect(replicas).toHaveLength(1);
  return replicas[0]!;
}

/** Lines of a report of LVM's, in bytes, each as its columns. */
async function report(...command: string[]): Promise<string[][]> {
  const { stdout } = await lab.machine('n2').exec([...command, '--noheadings', '--nosuffix', '--units', 'b', '--separator', '|']);
  return stdout
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => line.split('|'));
}

async function poolByLvm(): Promise<object> {
  const [[total, free]] = (await report('vgs', '-o', 'vg_size,vg_free', POOL)) as [[string, string]];
  const disks = (await report('pvs', '-o', 'pv_name,pv_size', '--select', `vg_name=${POOL}`)) as [string, string][];
  const volumes = (await report('lvs', '-o', 'lv_name', POOL)).map(([name]) => name!).filter((name) => name !== THIN_POOL);
  expect(volumes.sort()).toEqual(['nobodys', 'one', 'thin-one', 'two']);
  return {
    name: POOL,
    class: 'HDD',
    type: 'REGULAR',
    path: `/dev/${POOL}`,
    totalCapacityBytes: Number(total),
    usedCapacityBytes: Number(total) - Number(free),
    freeCapacityBytes: Number(free),
    volumeCapacityBytesLimit: Number(total),
    totalVolumeCount: 1000,
    usedVolumeCount: 4,
    freeVolumeCount: 996,
    disks: disks.map(([devPath, bytes]) => ({ devPath, type: 'HDD', capacityBytes: Number(bytes), state: 'InUse' })),
    volumes,
    thinPool: await thinPoolByLvm(),
  };
}

async function thinPoolByLvm(): Promise<object> {
  const fields = 'lv_size,lv_metadata_size,data_percent,metadata_percent,chunk_size';
  const [[size, metadataSize, dataPercent, metadataPercent, chunkSize]] = (await report('lvs', '-o', fields, `${POOL}/${THIN_POOL}`)) as [
    string[],
  ];
  const [[provisioned]] = (await report('lvs', '-o', 'lv_size', `${POOL}/thin-one`)) as [[string]];
  // Eight of 64 MiB were written: a report that says 0 % would be of a pool nobody looked into.
  expect(Number(dataPercent)).toBeGreaterThan(10);
  return {
    name: THIN_POOL,
    size: Number(size),
    metadataSize: Number(metadataSize),
    dataPercent,
    metadataPercent,
    totalProvisionedSize: Number(provisioned),
    currentProvisionRatio: (Number(provisioned) / Number(size)).toFixed(2),
    overProvisionRatio: '1.0',
    chunkSize: Number(chunkSize),
    thinVolumes: ['thin-one'],
    state: expect.objectContaining({ type: 'PoolState', status: 'True', reason: 'PoolStateNormal' }),
  };
}

/** What of a plain replica's status stands in lvs: no DRBD, so no haState, and always whole. */
async function replicaByLvm(volume: string): Promise<object> {
  const [[path, size, devices, active, open]] = (await report(
    'lvs',
    '-o',
    'lv_path,lv_size,devices,lv_active,lv_device_open',
    `${POOL}/${volume}`,
  )) as [string[]];
  return {
    storagePath: path,
    devPath: path,
    disks: [devices!.replace(/\(\d+\)$/, '')],
    allocatedCapacityBytes: Number(size),
    state: active === 'active' ? 'Ready' : 'NotReady',
    synced: true,
    inuse: open === 'open',
  };
}

import { beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, POOL } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const SECONDS_TO_REPORT = 10;

beforeEach(() => cluster.reset());

interface StorageNode {
  readonly spec: {
    readonly hostname: string;
    readonly storageIP: string;
    readonly topogoly: { readonly zone: string; readonly region: string };
  };
  readonly status: { readonly state: string; readonly pools: Readonly<Record<string, Pool>> };
}

interface Pool {
  readonly name: string;
  readonly class: string;
  readonly type: string;
  readonly path: string;
  readonly totalCapacityBytes: number;
  readonly usedCapacityBytes: number;
  readonly freeCapacityBytes: number;
  readonly volumeCapacityBytesLimit: number;
  readonly totalVolumeCount: number;
  readonly usedVolumeCount: number;
  readonly freeVolumeCount: number;
  readonly disks: readonly { readonly devPath: string; readonly type: string; readonly capacityBytes: number; readonly state: string }[];
  readonly volumes: readonly string[];
}

test('an agent keeps its LocalStorageNode as vgs, pvs and lvs say, within 10 s of a change', async () => {
  await cluster.filledVolume('one', 'n2', '16Mi');
  await cluster.filledVolume('two', 'n2', '20Mi');
  await lab.machine('n2').exec(['lvcreate', '-y', '-L', '12M', '-n', 'nobodys', POOL]);

  const { spec, status } = await eventually('n2 reported', SECONDS_TO_REPORT, async () => {
    const node = await cluster.get<StorageNode>('localstoragenode', 'n2');
    const { freeBytes } = await volumeGroup();
    return node.status.pools[POOL]?.freeCapacityBytes === freeBytes && node;
  });
  const { sizeBytes, freeBytes, disks } = await volumeGroup();
  expect(spec).toEqual({ hostname: 'n2', storageIP: '10.77.0.2', topogoly: { zone: 'default', region: 'default' } });
  expect(status.state).toBe('Ready');
  expect(status.pools[POOL]).toMatchObject({
    name: POOL,
    class: 'HDD',
    type: 'REGULAR',
    path: `/dev/${POOL}`,
    totalCapacityBytes: sizeBytes,
    usedCapacityBytes: sizeBytes - freeBytes,
    freeCapacityBytes: freeBytes,
    volumeCapacityBytesLimit: sizeBytes,
    totalVolumeCount: 1000,
    disks: disks.map(([devPath, bytes]) => ({ devPath, type: 'HDD', capacityBytes: Number(bytes), state: 'InUse' })),
  });
  expect([...status.pools[POOL]!.volumes].sort()).toEqual(expect.arrayContaining(['one', 'two']));
  expect(status.pools[POOL]!.usedVolumeCount + status.pools[POOL]!.freeVolumeCount).toBe(1000);
  await lab.machine('n2').exec(['lvremove', '-y', `${POOL}/nobodys`]);
});

test("an agent keeps its LocalVolumeReplicas' status, also when the logical volume goes", async () => {
  await cluster.filledVolume('one', 'n2', '16Mi');
  const [replica] = (await cluster.list<Replica>('localvolumereplicas')).filter(({ spec }) => spec.volumeName === 'one');
  await lab.kubectl([
    'patch',
    'localvolumereplica',
    replica!.metadata.name,
    '--subresource=status',
    '--type=merge',
    '-p',
    '{"status":{"state":"NotReady","devPath":"/dev/null"}}',
  ]);
  await eventually('the replica put right', SECONDS_TO_REPORT, async () => {
    const { status } = await cluster.get<Replica>('localvolumereplica', replica!.metadata.name);
    return status.state === 'Ready' && status.devPath === `/dev/${POOL}/one` && status.allocatedCapacityBytes === 16 * 2 ** 20;
  });
  await lab.machine('n2').exec(['lvremove', '-y', `${POOL}/one`]);
  await eventually('the replica not Ready', SECONDS_TO_REPORT, async () => {
    const { status } = await cluster.get<Replica>('localvolumereplica', replica!.metadata.name);
    return status.state !== 'Ready';
  });
});

interface Replica {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly volumeName: string };
  readonly status: { readonly state: string; readonly devPath: string; readonly allocatedCapacityBytes: number };
}

async function volumeGroup(): Promise<{ sizeBytes: number; freeBytes: number; disks: string[][] }> {
  const report = async (...args: string[]): Promise<string[][]> => {
    const { stdout } = await lab.machine('n2').exec([...args, '--noheadings', '--nosuffix', '--units', 'b', '--separator', '|']);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.trim().split('|'));
  };
  const [[sizeBytes, freeBytes]] = (await report('vgs', '-o', 'vg_size,vg_free', POOL)) as [string[]];
  return { sizeBytes: Number(sizeBytes), freeBytes: Number(freeBytes), disks: await report('pvs', '-o', 'pv_name,pv_size') };
}

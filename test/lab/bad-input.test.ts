import { beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, POOL } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

test('volumes whose objects lie are each reported with the reason, hold up no other, and nothing of them is deleted', async () => {
  const n1 = lab.machine('n1');
  for (const name of ['missing', 'resized', 'unknown-pool', 'with-snapshot', 'sound']) await cluster.filledVolume(name, 'n1', '16Mi');
  await n1.exec(['lvremove', '-y', `${POOL}/missing`]);
  await n1.exec(['lvextend', '-L', '+4M', `${POOL}/resized`]);
  await eventually('an agent that has seen the larger volume', 20, async () => {
    const replicas = await cluster.list<{ spec: { volumeName: string }; status: { allocatedCapacityBytes: number } }>(
      'localvolumereplicas',
    );
    return replicas.find(({ spec }) => spec.volumeName === 'resized')?.status.allocatedCapacityBytes === 20 * 2 ** 20;
  });
  await n1.exec(['lvcreate', '-s', '-L', '8M', '-n', 'a-snapshot', `${POOL}/with-snapshot`]);
  await lab.kubectl(['patch', 'localvolume', 'unknown-pool', '--type=merge', '-p', '{"spec":{"poolName":"LocalStorage_PoolNVMe"}}']);

  await cluster.cordon('n1');
  await cluster.reaches('sound', 'Completed');
  for (const [volume, reason, remedy] of [
    ['missing', 'LogicalVolumeMissing', 'restore it or remove the objects'],
    ['resized', 'LogicalVolumeSizeMismatch', 'correct whichever is wrong'],
    ['with-snapshot', 'SnapshotOnVolume', 'remove it'],
    ['unknown-pool', 'VolumeGroupUnknown', "check the LocalVolume's poolName"],
  ] as const) {
    const { status } = await cluster.reaches(volume, 'NeedsAttention', 60);
    expect(status?.reason, volume).toBe(reason);
    expect(status?.message, volume).toContain(remedy);
  }
  const names = (await n1.exec(['lvs', '--noheadings', '-o', 'lv_name', POOL])).stdout.split('\n').map((line) => line.trim());
  expect(names.filter(Boolean).sort()).toEqual(['a-snapshot', 'resized', 'unknown-pool', 'with-snapshot']);
  expect((await cluster.evacuated('n1'))?.status).toBe('False');

  // What was wrong is put right by hand. Objects that change are looked at by themselves; of what changes on a node alone a person tells.
  await lab.kubectl(['patch', 'localvolume', 'resized', '--type=merge', '-p', `{"spec":{"requiredCapacityBytes":${20 * 2 ** 20}}}`]);
  await n1.exec(['lvremove', '-y', `${POOL}/a-snapshot`]);
  await lab.temporal(['workflow', 'signal', '--workflow-id', 'migrate-with-snapshot', '--name', 'retry']);
  for (const volume of ['with-snapshot', 'resized']) await cluster.reaches(volume, 'Completed');
});

test('a volume without a target waits with the reason of every node, and goes on by itself when one appears', async () => {
  const sha256 = await cluster.filledVolume('data', 'n1', '16Mi');
  for (const node of ['n2', 'n3']) await lab.kubectl(['taint', 'node', node, 'test=full:NoSchedule']);
  for (const node of ['n2', 'n3']) await cluster.cordon(node);
  await cluster.cordon('n1');
  const { status } = await eventually('a waiting migration', 60, async () => {
    const migration = await cluster.migration('data');
    return migration?.status?.message?.includes('n3') ? migration : undefined;
  });
  expect(status?.phase).toBe('Reserving');
  expect(status?.message).toMatch(/n2.*NodeUnschedulable.*n3.*NodeUnschedulable/);
  await eventually('an Event that says so', 20, async () => {
    const events = await cluster.list<{ reason: string; note?: string }>('events.events.k8s.io', '-A');
    return events.some(({ reason, note }) => reason === 'WaitingForTarget' && note?.includes('NodeUnschedulable'));
  });

  await lab.kubectl(['taint', 'node', 'n3', 'test-']);
  await cluster.uncordon('n3');
  await cluster.reaches('data', 'Completed');
  expect(await cluster.sha256('data', 'n3')).toBe(sha256);
  await lab.kubectl(['taint', 'node', 'n2', 'test-']);
});

test('a target whose disk has larger logical blocks is refused with that reason', async () => {
  await cluster.filledVolume('data', 'n1', '16Mi');
  await lab.kill('n2');
  await lab.machine('n2').start({ logicalBlockSizeBytes: 4096 });
  await lab.machine('n2').waitUntilReady();
  await cluster.cordon('n3');
  await cluster.cordon('n1');
  const { status } = await eventually('a refusal of n2', 120, async () => {
    const migration = await cluster.migration('data');
    return migration?.status?.message?.includes('BlockSizeTooLarge') ? migration : undefined;
  });
  expect(status?.message).toMatch(/n2.*BlockSizeTooLarge/);
  await cluster.uncordon('n3');
  await cluster.reaches('data', 'Completed');
  expect(await cluster.nodeOf('data')).toBe('n3');
  await lab.kill('n2');
  await lab.machine('n2').start({ logicalBlockSizeBytes: 512 });
  await lab.machine('n2').waitUntilReady();
});

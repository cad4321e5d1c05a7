/** Volumes of every kind that logical volumes come in: what moves keeps its size and every bit, what cannot move says why. */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster, POOL } from '../lab/support.ts';
import { addDisk, deviceBytes, logicalVolume, moveFrom } from './volume-support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');

beforeEach(() => cluster.reset());

describe('a file system keeps its label, its UUID and its files:', () => {
  test.each([
    ['xfs', '320Mi', 'xfs_admin -L precious'],
    ['ext4', '32Mi', 'e2label'],
  ] as const)('%s', async (fileSystem, size, setLabel) => {
    await lab.createVolume({ name: 'data', node: 'n1', size, fileSystem });
    const device = `/dev/${POOL}/data`;
    await n1.exec(fileSystem === 'xfs' ? `${setLabel} ${device}` : `${setLabel} ${device} precious`);
    const mounted = (script: string): string =>
      `modprobe ${fileSystem}; mkdir -p /run/mounted && mount -t ${fileSystem} ${device} /run/mounted && { ${script}; code=$?; umount /run/mounted; exit $code; }`;
    await n1.exec(
      mounted('dd if=/dev/urandom of=/run/mounted/file bs=1M count=8 conv=fsync 2>/dev/null && ln /run/mounted/file /run/mounted/link'),
    );
    const identity = `/sbin/blkid -p -o export ${device} | grep -E '^(LABEL|UUID|TYPE)=' | sort`;
    const files = 'cd /run/mounted && sha256sum file link && stat -c "%n %h %i" file link; cd /';
    const [before, content, sha256] = [
      (await n1.exec(identity)).stdout,
      (await n1.exec(mounted(files))).stdout,
      await cluster.sha256('data', 'n1'),
    ];
    expect(before).toContain('LABEL=precious');
    expect(before).toMatch(/^UUID=\S+$/m);

    const target = await moveFrom(cluster, 'n1', 'data');
    expect(await cluster.sha256('data', target)).toBe(sha256);
    expect((await lab.machine(target).exec(identity)).stdout).toBe(before);
    expect((await lab.machine(target).exec(mounted(files))).stdout).toBe(content);
  });
});

test('volumes of 4 MiB and of odd sizes keep their exact size and every bit', async () => {
  const sizes = ['4Mi', '12Mi', '20Mi', '52Mi', '100Mi'];
  const before = new Map<string, { sha256: string; bytes: number }>();
  for (const size of sizes) {
    const name = `of-${size.toLowerCase()}`;
    before.set(name, { sha256: await cluster.filledVolume(name, 'n1', size), bytes: await deviceBytes(n1, name) });
  }
  await cluster.cordon('n1');
  for (const [name, { sha256, bytes }] of before) {
    await cluster.reaches(name, 'Completed', 180);
    const target = await cluster.nodeOf(name);
    expect(await deviceBytes(lab.machine(target), name), name).toBe(bytes);
    expect(await cluster.sha256(name, target), name).toBe(sha256);
  }
  expect(before.get('of-4mi')?.bytes).toBe(4 * 2 ** 20);
});

test('a volume striped over two disks moves to a node with one, and is linear there', async () => {
  await lab.createVolume({ name: 'data', node: 'n1', size: '32Mi', fileSystem: 'block' });
  await addDisk(n1);
  await replace('data', '--stripes 2 --stripesize 64k --size 32M');
  expect(await logicalVolume(n1, 'data', 'segtype')).toBe('striped');
  await n1.exec(`dd if=/dev/urandom of=/dev/${POOL}/data bs=1M count=32 conv=fsync 2>/dev/null`);
  const sha256 = await cluster.sha256('data', 'n1');

  const target = await moveFrom(cluster, 'n1', 'data');
  expect(await logicalVolume(lab.machine(target), 'data', 'segtype')).toBe('linear');
  expect(await deviceBytes(lab.machine(target), 'data')).toBe(32 * 2 ** 20);
  expect(await cluster.sha256('data', target)).toBe(sha256);
});

test('volumes that a second table would spoil, and snapshots, are refused with the reason, and stay as they are', async () => {
  const names = ['raided', 'mirrored', 'cached', 'a-copy'];
  for (const name of names) await lab.createVolume({ name, node: 'n1', size: '16Mi', fileSystem: 'block' });
  const second = await addDisk(n1);
  // They lie on both disks, which are to be parted again.
  onTestFinished(async () => {
    await n1.exec(
      `lvconvert -qq --yes --uncache ${POOL}/cached; for name in ${names.join(' ')} base; do lvremove -qq --yes ${POOL}/$name; done; true`,
    );
  });
  await replace('raided', '--type raid1 --mirrors 1 --size 16M');
  await replace('mirrored', '--type mirror --mirrors 1 --mirrorlog core --size 16M');
  await n1.exec(`lvcreate -qq --yes --type cache-pool --size 8M --name fast ${POOL} ${second}`);
  await n1.exec(`lvconvert -qq --yes --type cache --cachepool ${POOL}/fast ${POOL}/cached`);
  await n1.exec(`lvcreate -qq --yes --size 16M --name base ${POOL} && lvremove -qq --yes ${POOL}/a-copy`);
  await n1.exec(`lvcreate -qq --yes --snapshot --size 16M --name a-copy ${POOL}/base`);
  const tables = async (): Promise<string> => (await n1.exec('dmsetup table | sort')).stdout;
  const before = await tables();

  await cluster.cordon('n1');
  for (const [volume, words] of [
    ['raided', /type raid1.*lvconvert --mirrors 0/],
    ['mirrored', /type mirror.*lvconvert --mirrors 0/],
    ['cached', /type cache.*lvconvert --uncache/],
    ['a-copy', /snapshot of base/],
  ] as const) {
    const { status } = await cluster.reaches(volume, 'NeedsAttention', 60);
    expect(status?.reason, volume).toBe('TableNotSupported');
    expect(status?.message, volume).toMatch(words);
  }
  expect(await tables()).toBe(before);

  // What was refused moves once it is what can be moved.
  await n1.exec(`lvconvert -qq --yes --mirrors 0 ${POOL}/raided ${second}`);
  await lab.temporal(['workflow', 'signal', '--workflow-id', 'migrate-raided', '--name', 'retry']);
  await cluster.reaches('raided', 'Completed');
  await cluster.uncordon('n1');
  for (const volume of names.slice(1)) await cluster.reaches(volume, 'Aborted', 60);
});

/** Makes the logical volume of a volume that stands another one. */
async function replace(name: string, options: string): Promise<void> {
  await n1.exec(`lvremove -qq --yes ${POOL}/${name} && lvcreate -qq --yes ${options} --name ${name} ${POOL}`);
}

/** What the tests of the kinds of volumes share: LVM's own words on a node, and a second disk. */
import { onTestFinished } from 'vitest';
import type { Machine } from '../../lab/machines/index.ts';
import { type Cluster, type MigrateObject, POOL, THIN_POOL } from '../lab/support.ts';

/** A field of a logical volume as lvs prints it, without units. */
export async function logicalVolume(machine: Machine, name: string, field: string): Promise<string> {
  const args = ['--noheadings', '--units', 'b', '--nosuffix', '--segments', '-o', field, `${POOL}/${name}`];
  return (await machine.exec(['lvs', ...args])).stdout.trim();
}

export async function deviceBytes(machine: Machine, name: string): Promise<number> {
  return Number((await machine.exec(['blockdev', '--getsize64', `/dev/${POOL}/${name}`])).stdout);
}

/** Drains a volume's node of it by a cordon. @returns where it is now. */
export async function moveFrom(cluster: Cluster, node: string, volume: string, seconds = 120): Promise<string> {
  await cluster.cordon(node);
  await cluster.reaches(volume, 'Completed', seconds);
  return cluster.nodeOf(volume);
}

export async function waitsFor(cluster: Cluster, volume: string, words: RegExp): Promise<MigrateObject | undefined> {
  const found = await cluster.migration(volume);
  return words.test(found?.status?.message ?? '') ? found : undefined;
}

/**
 * A node's storage, but for the devices of its thin pool: LVM arranges them in another way once the pool was used, and says from then on that it is open.
 * @param lines of `nodeStorage`.
 */
export function withoutThinPool(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith(`${POOL}-${THIN_POOL}`)).map((line) => line.replace('|twi-ao', '|twi-a-'));
}

/** A disk of 96 MiB more for the node's volume group, for as long as the test lasts. @returns its device. */
export async function addDisk(machine: Machine): Promise<string> {
  const file = '/run/second-disk';
  const attach = `truncate -s 96M ${file} && losetup --find --show ${file}`;
  const device = (await machine.exec(attach)).stdout.trim();
  onTestFinished(async () => {
    await machine.exec(`vgreduce -qq ${POOL} ${device}; pvremove -qq ${device}; losetup --detach ${device}; rm -f ${file}`);
  });
  await machine.exec(`pvcreate -qq ${device} && vgextend -qq ${POOL} ${device}`);
  return device;
}

/** Volumes that nobody uses: they move as soon as their node is cordoned, and have to arrive as they were. */
import type { Lab } from '../index.ts';
import { POOL } from '../volume/objects.ts';
import { type Check, deviceSha256 } from './checks.ts';
import { type Migration, targetOf } from './migrations.ts';

const ARCHIVE_MIB = 16;
const SPARE_MIB = 8;

export interface IdleVolume {
  readonly name: string;
  readonly mebibytes: number;
}

/** One, and as many more as `--volumes` says. Their names put them behind the workloads' volumes, which a small terminal is to show first. */
export function idleVolumes(more: number): readonly IdleVolume[] {
  const digits = String(more).length;
  const spares = Array.from({ length: more }, (_, index) => `spare-${String(index + 1).padStart(digits, '0')}`);
  return [{ name: 'archive', mebibytes: ARCHIVE_MIB }, ...spares.map((name) => ({ name, mebibytes: SPARE_MIB }))];
}

export function inWords([first, ...more]: readonly IdleVolume[]): string {
  return `${first?.name} ${first?.mebibytes}Mi${more.length > 0 ? `, ${more.length} more of ${SPARE_MIB}Mi` : ''}`;
}

export async function createIdleVolumes(lab: Lab, node: string, volumes: readonly IdleVolume[]): Promise<void> {
  for (const { name, mebibytes } of volumes) await lab.createVolume({ name, node, size: `${mebibytes}Mi`, fileSystem: 'block' });
  await lab.machine(node).exec(fillScript(volumes), { timeoutSeconds: 300 });
}

/** Gives each content of its own: new disks are full of zeros, so that one which nobody has copied would look like one that has arrived, or like another. */
export function fillScript(volumes: readonly IdleVolume[]): string {
  const fill = volumes.map(
    ({ name, mebibytes }) => `dd if=/dev/urandom of=/dev/${POOL}/${name} bs=1M count=${mebibytes} conv=fsync 2>/dev/null`,
  );
  return ['set -e', ...fill].join('\n');
}

/** By name. */
export async function hashIdleVolumes(lab: Lab, node: string, volumes: readonly IdleVolume[]): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const { name } of volumes) hashes.set(name, await deviceSha256(lab.machine(node), name));
  return hashes;
}

/** @param before sha256 of each, on the node that was drained. */
export async function checkIdleVolumes(lab: Lab, migrations: readonly Migration[], before: ReadonlyMap<string, string>): Promise<Check[]> {
  const found: Check[] = [];
  for (const [name, sha256] of before) {
    const after = await deviceSha256(lab.machine(targetOf(migrations, name)), name);
    found.push({ claim: `${name}, which nobody uses, arrived unchanged`, holds: after === sha256, detail: `sha256 ${after.slice(0, 16)}` });
  }
  return found;
}

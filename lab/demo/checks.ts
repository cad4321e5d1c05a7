/**
 * What the demo holds Rehome to, seen with the nodes' own commands: nothing here shares code with what it checks.
 */
import type { Machine } from '../machines/index.ts';
import { POOL } from '../volume/objects.ts';
import type { Migration } from './migrations.ts';
import { BLOCK_BYTES, RECORD_BYTES } from './workloads.ts';

export interface Check {
  readonly claim: string;
  readonly holds: boolean;
  readonly detail: string;
}

const MOUNT_POINT = '/mnt/demo-check';

/** Every record of the file on an ext4 volume that nobody uses; mounted read-only for the time of the check. */
export async function readFileRecords(machine: Machine, volume: string, fileName: string): Promise<string[]> {
  const script = `mkdir -p ${MOUNT_POINT} && mount -t ext4 -o ro /dev/${POOL}/${volume} ${MOUNT_POINT} && cat ${MOUNT_POINT}/${fileName}; umount ${MOUNT_POINT}`;
  return splitRecords((await machine.exec(script)).stdout);
}

/** The first records of a raw volume, one at the start of each block. */
export async function readBlockRecords(machine: Machine, volume: string, count: number): Promise<string[]> {
  // What an earlier volume left in the rest of a block is not a record: those end their lines.
  const found = `LC_ALL=C grep -oE '[0-9]{${RECORD_BYTES - 1}}$' || [ $? -eq 1 ]`;
  const script = `dd if=/dev/${POOL}/${volume} bs=${BLOCK_BYTES} count=${count} 2>/dev/null | tr '\\0' '\\n' | { ${found}; }`;
  return (await machine.exec(script)).stdout.split('\n').filter(Boolean);
}

function splitRecords(text: string): string[] {
  return Array.from({ length: Math.floor(text.length / RECORD_BYTES) }, (_, index) =>
    text.slice(index * RECORD_BYTES, (index + 1) * RECORD_BYTES).trimEnd(),
  );
}

/** Record N must be at place N, for every number that was acknowledged. */
export function checkAcknowledged(writer: string, acknowledged: readonly number[], records: readonly string[]): Check {
  const missing = acknowledged.filter((number) => records[number] !== String(number).padStart(RECORD_BYTES - 1, '0'));
  return {
    claim: `every acknowledged write of ${writer} is there`,
    holds: acknowledged.length > 0 && missing.length === 0,
    detail:
      missing.length > 0
        ? `${missing.length} of ${acknowledged.length} are missing, the first is ${missing[0]}`
        : `${acknowledged.length} acknowledged, ${records.length} found`,
  };
}

export async function deviceSha256(machine: Machine, volume: string): Promise<string> {
  return (await machine.exec(`sha256sum < /dev/${POOL}/${volume}`, { timeoutSeconds: 120 })).stdout.split(' ')[0]!;
}

/**
 * What a finished move may leave on a node: plain logical volumes of the expected names, without tags, their devices, and nothing of DRBD.
 * @param expected names of the logical volumes that belong there.
 */
export async function checkNothingLeftOver(machine: Machine, expected: readonly string[]): Promise<Check> {
  const [volumes, devices, drbd] = await Promise.all([
    machine.exec(['lvs', '--noheadings', '--separator', '|', '-o', 'lv_name,lv_tags', POOL]),
    machine.exec(['dmsetup', 'ls']),
    // Not /proc/drbd, where DRBD 9 lists no device.
    machine.exec("drbdsetup events2 --now | sed -n 's/^exists resource/resource/p'"),
  ]);
  const found = volumes.stdout
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const wanted = expected.map((name) => `${name}|`);
  const deviceNames = devices.stdout
    .split('\n')
    .filter((line) => line && !line.startsWith('No devices'))
    .map((line) => line.split(/\s/)[0]!);
  const wantedDevices = new Set(expected.map((name) => `${POOL}-${name.replaceAll('-', '--')}`));
  // A thin pool is several devices.
  const isWanted = (device: string) => wantedDevices.has(device.replace(/(-tpool|_tdata|_tmeta)$/, ''));
  const leftovers = [
    ...found.filter((line) => !wanted.includes(line)).map((line) => `logical volume ${line}`),
    ...wanted.filter((line) => !found.includes(line)).map((line) => `no logical volume ${line.slice(0, -1)}`),
    ...deviceNames.filter((name) => !isWanted(name)).map((name) => `device ${name}`),
    ...drbd.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => `DRBD ${line.trim()}`),
  ];
  return {
    claim: `nothing is left over on ${machine.name}`,
    holds: leftovers.length === 0,
    detail: leftovers.join(', ') || `logical volumes: ${expected.join(', ') || 'none'}; no mirror devices, no DRBD minors, no tags`,
  };
}

/** @param storageNodes what `kubectl get localstoragenodes -o json` printed. */
export function checkNoReservations(storageNodes: string): Check {
  const { items } = JSON.parse(storageNodes) as { items: { metadata: { name: string; annotations?: Record<string, string> } }[] };
  const reservations = items.flatMap(({ metadata }) =>
    Object.keys(metadata.annotations ?? {})
      .filter((key) => key.startsWith('rehome.io/reserve-'))
      .map((key) => `${metadata.name}: ${key}`),
  );
  return { claim: 'no capacity stays reserved', holds: reservations.length === 0, detail: reservations.join(', ') || 'none' };
}

/** The hashes were taken by the agents: of the source when nobody could write to it any more, of the target before its PersistentVolume changed. */
export function checkHashes(migration: Migration): Check {
  const { sourceSha256, targetSha256 } = migration;
  return {
    claim: `${migration.volume}: the source at its release and the target before the switch are the same, bit by bit`,
    holds: sourceSha256 !== undefined && sourceSha256 === targetSha256,
    detail: `sha256 ${sourceSha256?.slice(0, 16) ?? 'not taken'}, ${targetSha256?.slice(0, 16) ?? 'not taken'}`,
  };
}

/**
 * `drbdsetup status --json --statistics` of DRBD 9: every resource at one instant, also those that are not ours, which may have several devices and
 * peers. Of what it says only what a mirror needs is read. Sources: drbdsetup.c of drbd-utils 9.22, recorded output.
 */
import { z } from 'zod';

const peerDevice = z
  .object({
    volume: z.int(),
    'replication-state': z.string(),
    'peer-disk-state': z.string(),
    /** In KiB. */
    'out-of-sync': z.number(),
    /** In sectors; these three are there while a sync or a verify runs, the second in a verify alone. */
    'rs-total': z.number().optional(),
    'ov-left': z.number().optional(),
    /** Over the last seconds. */
    'db1/dt1 [MiB/s]': z.number().optional(),
  })
  .transform((row) => ({
    volume: row.volume,
    replication: row['replication-state'],
    peerDisk: row['peer-disk-state'],
    outOfSyncKib: row['out-of-sync'],
    position: positionOf(row['rs-total'], row['ov-left'], row['out-of-sync'], row['db1/dt1 [MiB/s]']),
  }));

const connection = z
  .object({ 'peer-node-id': z.int(), 'connection-state': z.string(), peer_devices: z.array(peerDevice) })
  .transform((row) => ({ peerNodeId: row['peer-node-id'], state: row['connection-state'], peerDevices: row.peer_devices }));

/** Size and read counter in KiB; a device without a disk may have neither. */
const device = z
  .object({ volume: z.int(), minor: z.int(), 'disk-state': z.string(), size: z.number().default(0), read: z.number().default(0) })
  .transform((row) => ({ volume: row.volume, minor: row.minor, disk: row['disk-state'], sizeKib: row.size, readKib: row.read }));

const resource = z.object({ name: z.string(), role: z.string(), devices: z.array(device), connections: z.array(connection) });

export type StatusResource = z.infer<typeof resource>;
export type StatusDevice = z.infer<typeof device>;

/** @throws where the answer is another. */
export function parseStatusJson(text: string): StatusResource[] {
  return z.array(resource).parse(JSON.parse(text));
}

function positionOf(totalSectors: number | undefined, verifyLeftSectors: number | undefined, outOfSyncKib: number, mibPerSecond = 0) {
  if (totalSectors === undefined) return undefined;
  const leftKib = verifyLeftSectors === undefined ? outOfSyncKib : Math.ceil(verifyLeftSectors / 2);
  return { leftKib, totalKib: Math.ceil(totalSectors / 2), kibPerSecond: Math.max(0, Math.round(mibPerSecond * 1024)) };
}

/**
 * Which pairing of a migration's mirror is to be worked on.
 *
 * A pairing lives as long as the source's kernel holds its mirror beneath the volume. Once that was interrupted, by a reboot or by LVM, writes may
 * have passed it, and DRBD's old metadata would hide them (it reports two copies in sync that differ). So the next pairing begins with new
 * metadata on both ends and copies everything.
 */
import type { NodeVolumeFacts } from '../contracts/node-activities.ts';

/**
 * @param recorded the pairing in the migration's record; undefined: no mirror was ever begun.
 * @param source what stands on the source; its mirror counts only if it is this migration's.
 */
export function choosePairing(recorded: number | undefined, source: NodeVolumeFacts, migrationUid: string): number {
  if (recorded === undefined) return 1;
  return mirrorIsWhole(recorded, source, migrationUid) ? recorded : recorded + 1;
}

function mirrorIsWhole(recorded: number, source: NodeVolumeFacts, migrationUid: string): boolean {
  const { mirror } = source;
  if (mirror?.migrationUid !== migrationUid || mirror.pairing !== recorded || !mirror.attached) return false;
  return mirror.inserted || isClosed(source);
}

/**
 * The volume's device was removed by closeSource: nobody can write to it, and the mirror stands above what it was made of. Where somebody else
 * deactivated it, it may have been activated again before that, and written to past the mirror.
 */
export function isClosed({ logicalVolume, mirror }: NodeVolumeFacts): boolean {
  return mirror?.attached === true && mirror.closed !== false && logicalVolume?.active === false;
}

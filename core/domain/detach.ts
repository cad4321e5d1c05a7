/**
 * The detach test: may the source be taken from under its mirror, and is everything that was ever written to it in the copy?
 *
 * LVM can take a mirror away without DRBD noticing, and put it back. Such a bypass shows only in the write counters: since the insertion the
 * volume's device and the mirror must have grown alike. Where they have not, the copy is void until a verify of the closed volume says otherwise.
 */
import type { WriteCounters } from '../contracts/migration.ts';
import type { DetachFacts } from '../contracts/node-activities.ts';

export type DetachVerdict =
  /** Every write is in the mirror. */
  | { readonly kind: 'proven' }
  /** Somebody has the volume open: wait for them. */
  | { readonly kind: 'inUse'; readonly message: string }
  /** The mirror is no longer beneath the volume: begin anew. */
  | { readonly kind: 'bypassed'; readonly message: string }
  /** The copy is behind: let it catch up. */
  | { readonly kind: 'behind'; readonly message: string }
  /** Something may have been written past the mirror: only a verify of the closed volume can tell. */
  | { readonly kind: 'unproven'; readonly message: string };

/** What is unproven is verified after the volume was closed. */
export const mayClose = ({ kind }: DetachVerdict): boolean => kind === 'proven' || kind === 'unproven';

export function judgeDetach(facts: DetachFacts): DetachVerdict {
  if (facts.open) return { kind: 'inUse', message: 'the volume is open on its node' };
  if (!facts.inserted) return { kind: 'bypassed', message: "the volume's device no longer leads through the mirror" };
  if (!facts.connectedUpToDate) return { kind: 'behind', message: 'the mirror is not connected and up to date on both ends' };
  if (facts.outOfSyncBytes !== 0) return { kind: 'behind', message: `${facts.outOfSyncBytes} bytes are out of sync` };

  const volume = growth(facts.base.volume, facts.volume);
  const mirror = growth(facts.base.mirror, facts.mirror);
  const alike = volume.writtenSectors === mirror.writtenSectors && volume.discardedSectors === mirror.discardedSectors;
  // A counter below its base belongs to a device that was made anew: what it missed is unknown.
  const continuous = [volume, mirror].every(({ writtenSectors, discardedSectors }) => writtenSectors >= 0 && discardedSectors >= 0);
  if (alike && continuous) return { kind: 'proven' };
  return {
    kind: 'unproven',
    message: `since the insertion the volume's counters grew by ${inWords(volume)}, the mirror's by ${inWords(mirror)}`,
  };
}

function growth(base: WriteCounters, now: WriteCounters): WriteCounters {
  return { writtenSectors: now.writtenSectors - base.writtenSectors, discardedSectors: now.discardedSectors - base.discardedSectors };
}

const inWords = ({ writtenSectors, discardedSectors }: WriteCounters): string =>
  `${writtenSectors} sectors (${discardedSectors} discarded)`;

/**
 * For how long the volumes of an evicted pod have not come forward: pods cannot start meanwhile, so there is a limit to it.
 *
 * A volume comes forward when its migration gets further than it ever was, and when more of it is copied or compared than at the look before, however
 * little. A migration that goes round between phases in which it has been does not. While it waits for its turn to sync nothing is counted: those before
 * it come forward, or lose their turns. One that waits for the other volumes of its pods has stood no longer than that of them which came forward last.
 */
import type { EvictedMigration } from '../contracts/cluster-activities.ts';
import { PHASES, type Phase } from '../contracts/phases.ts';
import type { EventReason } from '../contracts/reasons.ts';

export interface Standstill {
  /** Of those that lead to the point of no return; undefined: nothing has begun. */
  readonly furthest?: Phase;
  /** When it was copied or compared last. */
  readonly syncedBytes?: number;
  readonly stoodMilliseconds: number;
}

export interface Standstills {
  /** By volume. */
  readonly standstills: Readonly<Record<string, Standstill>>;
  /** The last look, in milliseconds since 1970. */
  readonly lookedAt?: number;
}

export const NONE_STANDS: Standstills = { standstills: {} };

/** There is a look every minute; when there was none for longer, the API server or Temporal was away, and nobody knows what came forward. */
const LONGEST_COUNTED_MILLISECONDS = 2 * 60_000;

const WAY: readonly Phase[] = PHASES.slice(0, PHASES.indexOf('CuttingOver') + 1);
/** In the others what is known of bytes is of the past, or is changed by who uses the volume. */
const COPYING: readonly Phase[] = ['Syncing', 'Verifying', 'CuttingOver'];
const IN_TURN: EventReason = 'WaitingForTurn';
const FOR_OTHERS: EventReason = 'WaitingForOtherVolumes';

const rank = (phase: Phase | undefined): number => (phase === undefined ? -1 : WAY.indexOf(phase));

/** A volume that is to leave, and has not passed its point of no return. */
export interface Leaving {
  readonly volume: string;
  /** undefined: none runs. */
  readonly migration?: EvictedMigration | undefined;
}

/** @param now in milliseconds since 1970. */
export function rememberStandstills({ standstills, lookedAt }: Standstills, leaving: readonly Leaving[], now: number): Standstills {
  const elapsed = Math.min(now - (lookedAt ?? now), LONGEST_COUNTED_MILLISECONDS);
  const looked = leaving.map(({ volume, migration }) => ({ volume, migration, ...compare(standstills[volume], migration, elapsed) }));
  const shortest = Math.min(...looked.map(({ stoodMilliseconds }) => stoodMilliseconds));
  const entries = looked.map(({ volume, migration, ...standstill }): [string, Standstill] => [
    volume,
    migration?.reason === FOR_OTHERS ? { ...standstill, stoodMilliseconds: shortest } : standstill,
  ]);
  return { standstills: Object.fromEntries(entries), lookedAt: now };
}

function compare(before: Standstill | undefined, migration: EvictedMigration | undefined, elapsed: number): Standstill {
  const { phase, reason } = migration ?? {};
  const { furthest, syncedBytes: had, stoodMilliseconds: stood = 0 } = before ?? {};
  const isFurther = rank(phase) > rank(furthest);
  const syncedBytes = phase !== undefined && COPYING.includes(phase) ? (migration?.syncedBytes ?? had) : had;
  const hasMore = syncedBytes !== undefined && had !== undefined && syncedBytes > had;
  const counted = reason === IN_TURN ? 0 : elapsed;
  const reached = isFurther ? phase : furthest;
  return {
    ...(reached !== undefined && { furthest: reached }),
    ...(syncedBytes !== undefined && { syncedBytes }),
    stoodMilliseconds: !before || isFurther || hasMore ? 0 : stood + counted,
  };
}

/**
 * The longest that it may stand. From when there is a copy it is twice as long: a target that fails is waited for before it is left for another, which
 * takes a while as well (decision 0020).
 * @param limit in milliseconds, of one without a copy.
 */
export function standstillLimit({ furthest }: Standstill, limit: number): number {
  return rank(furthest) < rank('Preparing') ? limit : 2 * limit;
}

/** Until the first of them has stood for too long, if nothing changes; infinite where there is none. */
export function untilStandstill({ standstills }: Standstills, limit: number): number {
  const left = Object.values(standstills).map((each) => standstillLimit(each, limit) - each.stoodMilliseconds);
  return Math.min(...left, Number.POSITIVE_INFINITY);
}

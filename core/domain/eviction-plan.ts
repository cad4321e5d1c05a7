/**
 * What a node's eviction does next.
 *
 * Decided by level, not by edge: from how the node is now and what runs now, so that any number of changes in any order ends alike.
 */
import type { NodeEvictionFacts } from '../contracts/cluster-activities.ts';
import type { MigrationEnded } from '../contracts/migration.ts';
import type { EventReason } from '../contracts/reasons.ts';
import { type FollowedMigrations, follow, isHeldBack, NONE_FOLLOWED, settle, withVolume } from './followed-migrations.ts';

export interface EvictionMemory extends FollowedMigrations {
  /** A person took the move back. */
  readonly held: readonly string[];
  /** Something was started since the last report that the eviction has ended. */
  readonly begun: boolean;
  /** Since when it is seen that the node is to be emptied, in milliseconds since 1970; undefined: it is not. */
  readonly wantedSince?: number;
}

export const NOTHING_REMEMBERED: EvictionMemory = { ...NONE_FOLLOWED, held: [], begun: false };

export interface EvictionPlan {
  /** Migrations to start or to join. One that is joined looks at the world as it is joined. */
  readonly start: readonly string[];
  /** Migrations to be told to look again. */
  readonly nudge: readonly string[];
  /** An Event that is due. */
  readonly report?: EventReason;
  /** Nothing runs and nothing is to be started. */
  readonly over: boolean;
  /** Volumes that stay because a person said so. */
  readonly held: readonly string[];
  /** Until then, in milliseconds since 1970, nothing is begun; undefined: nothing waits for that. */
  readonly waitsUntil?: number;
}

/** @param now milliseconds since 1970. */
export function planEviction(facts: NodeEvictionFacts, memory: EvictionMemory, now: number): EvictionPlan {
  const wanted = isToBeEmptied(facts);
  const held = new Set([...facts.volumes.filter((volume) => volume.held).map(({ volume }) => volume), ...memory.held]);
  const staying = facts.volumes.filter(({ stays }) => stays !== undefined).map(({ volume }) => volume);
  const settled = new Set([...held, ...staying, ...memory.moved, ...memory.idle]);
  const leaving = wanted ? facts.volumes.map(({ volume }) => volume).filter((volume) => !settled.has(volume)) : [];
  // Also when nothing is to move: a migration that was terminated half-way has to be taken back or brought to its end.
  const underWay = facts.running
    .map(({ volume }) => volume)
    .filter((volume) => !memory.moved.includes(volume) && !memory.held.includes(volume));

  const delayEnds = (memory.wantedSince ?? now) + (facts.delaySeconds ?? 0) * 1000;
  const isDelayed = now < delayEnds && leaving.some((volume) => !memory.following.includes(volume) && !underWay.includes(volume));
  const toMove = isDelayed ? [] : leaving;
  const start = [...new Set([...toMove, ...underWay])].filter((volume) => !memory.following.includes(volume)).sort();
  const over = start.length === 0 && memory.following.length === 0 && !isDelayed;
  const isNew = memory.wantedSince === undefined;
  const report = isDelayed && isNew ? 'EvictionDelayed' : reportDue({ wanted, over, starts: start.length > 0, begun: memory.begun });
  return {
    start,
    nudge: wanted ? [] : [...memory.following].sort(),
    ...(report && { report }),
    over,
    held: [...held].sort(),
    ...(isDelayed && { waitsUntil: delayEnds }),
  };
}

function isToBeEmptied({ exists, cordoned, disabled }: NodeEvictionFacts): boolean {
  return exists && cordoned && !disabled;
}

function reportDue({ wanted, over, starts, begun }: Record<'wanted' | 'over' | 'starts' | 'begun', boolean>): EventReason | undefined {
  if (over) return begun ? (wanted ? 'EvictionCompleted' : 'EvictionStopped') : undefined;
  return wanted && starts && !begun ? 'EvictionStarted' : undefined;
}

/** What is remembered when a migration is to be started or joined. */
export function rememberStart(memory: EvictionMemory, volume: string): EvictionMemory {
  return { ...follow(memory, volume), begun: true };
}

/** What is remembered once a migration has ended. */
export function rememberEnd(memory: EvictionMemory, node: string, ended: MigrationEnded): EvictionMemory {
  const settled = settle(memory, node, ended);
  return isHeldBack(ended, node) ? { ...settled, held: withVolume(memory.held, ended.volume) } : settled;
}

/**
 * What is remembered after a look at the node: holds last until it is uncordoned, a move until the objects tell it too.
 * @param now milliseconds since 1970.
 */
export function rememberLook({ wantedSince, ...memory }: EvictionMemory, facts: NodeEvictionFacts, now: number): EvictionMemory {
  const listed = new Set([...facts.volumes, ...facts.running].map(({ volume }) => volume));
  const told = new Set(facts.volumes.filter(({ held }) => held).map(({ volume }) => volume));
  return {
    ...memory,
    ...(isToBeEmptied(facts) && { wantedSince: wantedSince ?? now }),
    moved: memory.moved.filter((volume) => listed.has(volume)),
    // Once the objects tell of a hold they alone say how long it lasts.
    held: facts.exists && !facts.cordoned ? [] : memory.held.filter((volume) => !told.has(volume)),
  };
}

/**
 * What a node's eviction does next.
 *
 * Decided by level, not by edge: from how the node is now and what runs now, so that any number of changes in any order ends alike.
 */
import type { NodeEvictionFacts } from '../contracts/cluster-activities.ts';
import type { MigrationEnded } from '../contracts/migration.ts';
import type { EventReason } from '../contracts/reasons.ts';

/** What one eviction remembers, because the objects may tell it a moment later. */
export interface EvictionMemory {
  /** Volumes whose migrations were started or joined, and whose end is not known. */
  readonly following: readonly string[];
  /** Moved away by a migration that has ended. */
  readonly moved: readonly string[];
  /** A person took the move back. */
  readonly held: readonly string[];
  /** A migration found nothing to do; tried again at the next change. */
  readonly idle: readonly string[];
  /** Something was started since the last report that the eviction has ended. */
  readonly begun: boolean;
  /** Since when it is seen that the node is to be emptied, in milliseconds since 1970; undefined: it is not. */
  readonly wantedSince?: number;
}

export const NOTHING_REMEMBERED: EvictionMemory = { following: [], moved: [], held: [], idle: [], begun: false };

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
  return { ...memory, following: [...memory.following, volume], begun: true };
}

/** What is remembered when that failed: the next look plans it again. */
export function forgetStart(memory: EvictionMemory, volume: string): EvictionMemory {
  return { ...memory, following: memory.following.filter((followed) => followed !== volume) };
}

/** What is remembered once a migration has ended. */
export function rememberEnd(memory: EvictionMemory, node: string, ended: MigrationEnded): EvictionMemory {
  const following = memory.following.filter((volume) => volume !== ended.volume);
  const add = (volumes: readonly string[], when: boolean) => (when ? [...new Set([...volumes, ended.volume])] : volumes);
  // It may have been a move to this node, joined while it ran: then this node's own is still to come.
  const ours = ended.sourceNode === node;
  return {
    ...memory,
    following,
    moved: add(memory.moved, ours && ended.outcome === 'Completed'),
    held: add(memory.held, ours && ended.outcome === 'Aborted' && ended.abortedByPerson),
    idle: add(memory.idle, ended.outcome === 'NothingToMove'),
  };
}

/**
 * What is remembered after a look at the node: holds last until it is uncordoned, a move until the objects tell it too.
 * @param now milliseconds since 1970.
 */
export function rememberLook({ wantedSince, ...memory }: EvictionMemory, facts: NodeEvictionFacts, now: number): EvictionMemory {
  const listed = new Set([...facts.volumes, ...facts.running].map(({ volume }) => volume));
  return {
    ...memory,
    ...(isToBeEmptied(facts) && { wantedSince: wantedSince ?? now }),
    moved: memory.moved.filter((volume) => listed.has(volume)),
    held: facts.exists && !facts.cordoned ? [] : memory.held,
  };
}

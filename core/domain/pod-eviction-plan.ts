/**
 * What a pod's eviction does next, decided by level: from what its claims say and what runs now.
 *
 * Its pods cannot start while it lasts, so it ends whenever the volumes cannot go: a volume that is refused, that does not come forward for a while, or
 * that a person keeps ends it for all of them. What has not begun to cut over stays then, and pods start where it is.
 */
import type { PodEvictionFacts } from '../contracts/cluster-activities.ts';
import type { MigrationEnded } from '../contracts/migration.ts';
import type { EventReason } from '../contracts/reasons.ts';
import { type FollowedMigrations, isHeldBack, NONE_FOLLOWED, settle } from './followed-migrations.ts';
import { type Leaving, NONE_STANDS, rememberStandstills, type Standstills, standstillLimit, untilStandstill } from './standstill.ts';
import { inWords } from './stay.ts';

export interface PodEvictionMemory extends FollowedMigrations, Standstills {
  /** A person took the move of this volume back. */
  readonly kept?: string;
  /** It was told that the eviction has started. */
  readonly begun: boolean;
}

export const NOTHING_REMEMBERED: PodEvictionMemory = { ...NONE_FOLLOWED, ...NONE_STANDS, begun: false };

export interface PodEvictionPlan {
  /** Migrations to start or to join. */
  readonly start: readonly string[];
  /** How the eviction ends now. */
  readonly end?: PodEvictionEnd;
}

export interface PodEvictionEnd {
  /** undefined: nothing was to be moved. */
  readonly event?: EventReason;
  readonly message: string;
}

/** @param limit in milliseconds: for how long a volume without a copy may not come forward. */
export function planPodEviction(node: string, facts: PodEvictionFacts, memory: PodEvictionMemory, limit: number): PodEvictionPlan {
  const staying = volumesHere(facts, memory);
  const why = whyGivenUp(facts, memory, limit);
  if (why !== undefined && (memory.begun || staying.length > 0)) return { start: [], end: stopped(node, facts, memory, why) };
  const underWay = facts.running.map(({ volume }) => volume).filter((volume) => !memory.moved.includes(volume));
  const toMove = staying.filter((volume) => !memory.idle.includes(volume));
  const start = [...new Set([...toMove, ...underWay])].filter((volume) => !memory.following.includes(volume)).sort();
  // One whose migration found nothing to do while it lies here yet is tried again, until it has stood still for too long.
  if (start.length > 0 || memory.following.length > 0 || staying.length > 0) return { start };
  const message = `moved away from ${node}: ${[...memory.moved].sort().join(', ') || 'nothing'}`;
  return { start, end: { ...(memory.begun && { event: 'PodEvictionCompleted' as const }), message } };
}

/** Those that the eviction is about, and that have not moved. */
function volumesHere({ volumes }: PodEvictionFacts, { moved }: PodEvictionMemory): readonly string[] {
  const isHere = ({ onNode, unmarked, volume }: PodEvictionFacts['volumes'][number]) => onNode && !unmarked && !moved.includes(volume);
  return volumes.filter(isHere).map(({ volume }) => volume);
}

function stopped(node: string, { running }: PodEvictionFacts, { moved }: PodEvictionMemory, why: string): PodEvictionEnd {
  const forward = running.filter(({ pointOfNoReturn }) => pointOfNoReturn).map(({ volume }) => volume);
  const gone = [...new Set([...moved, ...forward])].sort();
  const but = gone.length > 0 ? `; but for ${gone.join(', ')}` : '';
  return { event: 'PodEvictionStopped', message: `the volumes stay on ${node}: ${why}${but}` };
}

function whyGivenUp(facts: PodEvictionFacts, memory: PodEvictionMemory, limit: number): string | undefined {
  const { unwanted, running } = facts;
  const { kept, standstills } = memory;
  if (unwanted !== undefined) return unwanted;
  const staying = whyOneStays(facts, memory);
  if (staying !== undefined) return staying;
  if (kept !== undefined) return `a person aborted the move of ${kept}`;
  const parked = running.find(({ phase, pointOfNoReturn }) => phase === 'NeedsAttention' && !pointOfNoReturn);
  if (parked) return `${parked.volume} cannot move: ${parked.message}`;
  const stuck = Object.entries(standstills).find(([, standstill]) => standstill.stoodMilliseconds >= standstillLimit(standstill, limit));
  if (!stuck) return undefined;
  const [volume, standstill] = stuck;
  const { phase, message = 'its migration has not begun' } = running.find((migration) => migration.volume === volume) ?? {};
  const what = phase === 'Reserving' ? 'found no other node' : 'has not come forward';
  return `${volume} ${what} for ${standstillLimit(standstill, limit) / 60_000} minutes: ${message}`;
}

/** One that stays keeps the others: a pod starts only where all of its volumes are. What goes forward goes, whatever is said of it now. */
function whyOneStays({ volumes, running }: PodEvictionFacts, { moved }: PodEvictionMemory): string | undefined {
  const goes = (volume: string) => moved.includes(volume) || running.some((other) => other.volume === volume && other.pointOfNoReturn);
  for (const { volume, onNode, unmarked, stays } of volumes) {
    if (!onNode || goes(volume)) continue;
    if (unmarked) return `somebody took the mark of the eviction off the claim of ${volume}`;
    if (stays) return inWords(volume, stays);
  }
  return undefined;
}

/** What is remembered once a migration has ended. */
export function rememberEnd(memory: PodEvictionMemory, node: string, ended: MigrationEnded): PodEvictionMemory {
  const settled = settle(memory, node, ended);
  return isHeldBack(ended, node) ? { ...settled, kept: ended.volume } : settled;
}

/** What is remembered after a look: for how long volumes have not come forward. @param now in milliseconds since 1970. */
export function rememberLook(memory: PodEvictionMemory, facts: PodEvictionFacts, now: number): PodEvictionMemory {
  const { running } = facts;
  const isMoved = (volume: string) => memory.moved.includes(volume);
  const underWay = running.map(({ volume }) => volume).filter((volume) => !isMoved(volume));
  const leaving = [...new Set([...volumesHere(facts, memory), ...underWay])]
    .map((volume): Leaving => ({ volume, migration: running.find((migration) => migration.volume === volume) }))
    .filter(({ migration }) => !migration?.pointOfNoReturn);
  return { ...memory, ...rememberStandstills(memory, leaving, now) };
}

/** How long the next look may wait without missing that a volume has stood still for too long. A look that has failed is not made again at once. */
export function untilGivenUp(memory: PodEvictionMemory, limit: number): number {
  return Math.max(untilStandstill(memory, limit), 1000);
}

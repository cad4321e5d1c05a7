/**
 * What a pod's eviction does next, decided by level: from what its claims say and what runs now.
 *
 * Its pods cannot start while it lasts, so it ends whenever the volumes cannot go: a volume that is refused, that finds no node for a while, or that a
 * person keeps ends it for all of them. What has not begun to cut over stays then, and pods start where it is.
 */
import type { PodEvictionFacts } from '../contracts/cluster-activities.ts';
import type { MigrationEnded } from '../contracts/migration.ts';
import type { EventReason } from '../contracts/reasons.ts';
import { type FollowedMigrations, isHeldBack, NONE_FOLLOWED, settle } from './followed-migrations.ts';

/** For how long pods are kept from starting because no node has room. */
export const NO_TARGET_MILLISECONDS = 10 * 60_000;

export interface PodEvictionMemory extends FollowedMigrations {
  /** A person took the move of this volume back. */
  readonly kept?: string;
  /** By volume, since when it has looked for a node in vain, in milliseconds since 1970. */
  readonly withoutTargetSince: Readonly<Record<string, number>>;
  /** It was told that the eviction has started. */
  readonly begun: boolean;
}

export const NOTHING_REMEMBERED: PodEvictionMemory = { ...NONE_FOLLOWED, withoutTargetSince: {}, begun: false };

export interface PodEvictionPlan {
  /** Migrations to start or to join. */
  readonly start: readonly string[];
  /** How the eviction ends now. Without an Event where nothing was to be moved. */
  readonly end?: { readonly event?: EventReason; readonly message: string };
}

/** @param now in milliseconds since 1970. */
export function planPodEviction(node: string, facts: PodEvictionFacts, memory: PodEvictionMemory, now: number): PodEvictionPlan {
  const settled = [...memory.moved, ...memory.idle];
  const toMove = facts.volumes.filter(({ onNode, volume }) => onNode && !settled.includes(volume)).map(({ volume }) => volume);
  const why = whyGivenUp(facts, memory, now);
  if (why !== undefined && (memory.begun || toMove.length > 0)) {
    const forward = facts.running.filter(({ pointOfNoReturn }) => pointOfNoReturn).map(({ volume }) => volume);
    const gone = [...new Set([...memory.moved, ...forward])].sort();
    const but = gone.length > 0 ? `; but for ${gone.join(', ')}` : '';
    return { start: [], end: { event: 'PodEvictionStopped', message: `the volumes stay on ${node}: ${why}${but}` } };
  }
  const underWay = facts.running.map(({ volume }) => volume).filter((volume) => !memory.moved.includes(volume));
  const start = [...new Set([...toMove, ...underWay])].filter((volume) => !memory.following.includes(volume)).sort();
  if (start.length > 0 || memory.following.length > 0) return { start };
  const message = `moved away from ${node}: ${[...memory.moved].sort().join(', ') || 'nothing'}`;
  return { start, end: { ...(memory.begun && { event: 'PodEvictionCompleted' as const }), message } };
}

function whyGivenUp(
  { unwanted, running }: PodEvictionFacts,
  { kept, withoutTargetSince }: PodEvictionMemory,
  now: number,
): string | undefined {
  if (unwanted !== undefined) return unwanted;
  if (kept !== undefined) return `a person aborted the move of ${kept}`;
  const parked = running.find(({ phase, pointOfNoReturn }) => phase === 'NeedsAttention' && !pointOfNoReturn);
  if (parked) return `${parked.volume} cannot move: ${parked.message}`;
  const lost = running.find(({ volume }) => now - (withoutTargetSince[volume] ?? now) >= NO_TARGET_MILLISECONDS);
  return lost && `${lost.volume} found no other node for ${NO_TARGET_MILLISECONDS / 60_000} minutes: ${lost.message}`;
}

/** What is remembered once a migration has ended. */
export function rememberEnd(memory: PodEvictionMemory, node: string, ended: MigrationEnded): PodEvictionMemory {
  const settled = settle(memory, node, ended);
  return isHeldBack(ended, node) ? { ...settled, kept: ended.volume } : settled;
}

/** What is remembered after a look: since when volumes are without a target. */
export function rememberLook(memory: PodEvictionMemory, { running }: PodEvictionFacts, now: number): PodEvictionMemory {
  const waiting = running
    .filter(({ phase }) => phase === 'Reserving')
    .map(({ volume }) => [volume, memory.withoutTargetSince[volume] ?? now]);
  return { ...memory, withoutTargetSince: Object.fromEntries(waiting) };
}

/** How long the next look may wait without missing that a volume has been without a target for too long. */
export function untilGivenUp({ withoutTargetSince }: PodEvictionMemory, now: number): number {
  return Math.min(
    ...Object.values(withoutTargetSince).map((since) => Math.max(0, since + NO_TARGET_MILLISECONDS - now)),
    Number.MAX_SAFE_INTEGER,
  );
}

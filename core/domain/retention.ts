/** How long a LocalVolumeMigrate that has ended stays. */

export interface EndedMigration {
  /** Milliseconds since 1970. */
  readonly endedAt: number;
  /** Rehome's finalizer is on it. */
  readonly isProtected: boolean;
  /** A node has yet to take its share away: the agent there goes by this object. */
  readonly hasLeftOvers: boolean;
  /** Others that move with it have not ended: they go by whether this object is there, and was aborted. */
  readonly hasCompanions: boolean;
  /** A person aborted it, and it is what keeps the volume on a node that is still cordoned. */
  readonly isHold: boolean;
}

/** release: whoever deletes it may. remove: nobody needs it any more. */
export type Retention = 'keep' | 'release' | 'remove';

export function judgeRetention(ended: EndedMigration, retentionMilliseconds: number, now: number): Retention {
  if (ended.hasLeftOvers || ended.hasCompanions) return 'keep';
  if (ended.isProtected) return 'release';
  return !ended.isHold && now - ended.endedAt >= retentionMilliseconds ? 'remove' : 'keep';
}

/** Whether a node's eviction is to be started, or one that runs to be told. It says *look again*, never what to do: the workflow re-reads the node. */

export interface NodeDrainFacts {
  /** There is a LocalStorageNode: its volumes are ours to move. */
  readonly managed: boolean;
  readonly cordoned: boolean;
  /** Label `hwameistor.io/eviction=disable`. */
  readonly disabled: boolean;
  /** Whether the node was to be emptied when it was looked at last; undefined: this is the first look since this process leads. */
  readonly before: boolean | undefined;
  /** A volume lies there, or is on its way from there, that is not to stay. */
  readonly somethingToMove: boolean;
  /** A migration away from it has begun, because it was cordoned, and not ended. */
  readonly underWay: boolean;
}

/** start: start the eviction, or tell the one that runs. tell: only the one that runs, if there is one. */
export type NodeDrainDecision = 'start' | 'tell' | 'nothing';

export function isToBeEmptied({ managed, cordoned, disabled }: NodeDrainFacts): boolean {
  return managed && cordoned && !disabled;
}

/**
 * A cordon seen as it happens always starts an eviction. A node found cordoned (at start, at a regular look) starts one only for something that is
 * to be moved: nodes stay cordoned for days after they were emptied.
 */
export function decideNodeDrain(facts: NodeDrainFacts): NodeDrainDecision {
  if (isToBeEmptied(facts)) {
    if (facts.before === false || facts.somethingToMove) return 'start';
    return facts.before === undefined ? 'tell' : 'nothing';
  }
  const mayRun = facts.before ?? facts.managed;
  return mayRun ? 'tell' : 'nothing';
}

/**
 * An eviction has to run: one that does not was terminated, or Temporal has lost its database. Also for a node that is to be emptied no longer, whose
 * migrations have to be taken back.
 */
export function needsEviction(facts: NodeDrainFacts): boolean {
  return facts.managed && (facts.underWay || (isToBeEmptied(facts) && facts.somethingToMove));
}

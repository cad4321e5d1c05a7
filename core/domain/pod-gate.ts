/**
 * May a pod be scheduled now, and where?
 *
 * A PersistentVolume's nodeAffinity says where its volume is; but a volume that is about to leave a node which is not cordoned would be used there again
 * at once, and never get away. So a pod waits, kept by a scheduling gate, while a volume of its leaves because a pod was evicted or because somebody
 * asked for it. A PersistentVolume without nodeAffinity says nothing: there the pod is told to go to a node that holds an up-to-date replica, and waits
 * wherever that is about to change.
 */
import type { Phase } from '../contracts/phases.ts';
import type { NodeRequirement, NodeTerm } from './pod-fit.ts';

/** A claim of a pod, and the volume behind it. */
export interface ClaimFacts {
  readonly volume: string;
  /** Its PersistentVolume has a nodeAffinity. */
  readonly bindsPods: boolean;
  /** Where it lies, by its LocalVolume. */
  readonly nodes: readonly string[];
  /** Of these, those with a replica that is up to date. */
  readonly upToDateNodes: readonly string[];
  /** Where a pod that used it was evicted. */
  readonly evictedFrom: readonly string[];
  /** Nodes that are being emptied, and that it does not stay on. */
  readonly drained: readonly string[];
  /** The one that runs, or that somebody has just asked for. */
  readonly migration?: MigrationFacts | undefined;
}

export interface MigrationFacts {
  readonly sourceNode: string;
  readonly phase: Phase;
  readonly parkedIn?: Phase | undefined;
  readonly hasTarget: boolean;
  /** Nobody drains the node because of it. */
  readonly isAsked: boolean;
}

export interface PodAdmission {
  /** Why it must not be scheduled yet, for people; empty: it may be. */
  readonly waitsFor: readonly string[];
  /** It must run on a node of each of these lists. */
  readonly nodeLists: readonly (readonly string[])[];
}

/** From here on the volume's objects and its PersistentVolume say the target. */
const HAS_LEFT: readonly Phase[] = ['RemovingSource', 'Completed'];

export function admitPod(claims: readonly ClaimFacts[]): PodAdmission {
  const judged = claims.map(judge);
  const lists = judged.flatMap(({ nodes }) => (nodes ? [JSON.stringify([...nodes].sort())] : []));
  return {
    waitsFor: judged.flatMap(({ waitsFor }) => waitsFor ?? []),
    nodeLists: [...new Set(lists)].map((list) => JSON.parse(list) as string[]),
  };
}

interface Judgement {
  readonly waitsFor?: string;
  readonly nodes?: readonly string[];
}

function judge(claim: ClaimFacts): Judgement {
  const { volume, bindsPods, nodes, upToDateNodes, evictedFrom, drained, migration } = claim;
  const isMoving = migration !== undefined && !HAS_LEFT.includes(standingOf(migration));
  const evicted = evictedFrom.find((node) => nodes.includes(node) || (isMoving && migration.sourceNode === node));
  if (evicted !== undefined) return { waitsFor: `volume ${volume} to leave node ${evicted}` };
  const isHeldBack = isMoving && holdsPods(migration) && (migration.isAsked || !bindsPods);
  if (isHeldBack) return { waitsFor: `volume ${volume} to leave node ${migration.sourceNode}` };
  if (bindsPods) return {};
  const staying = upToDateNodes.filter((node) => !drained.includes(node));
  if (staying.length > 0) return { nodes: staying };
  const [leaving] = drained;
  return { waitsFor: leaving === undefined ? `an up-to-date replica of volume ${volume}` : `volume ${volume} to leave node ${leaving}` };
}

function standingOf({ phase, parkedIn }: MigrationFacts): Phase {
  return phase === 'NeedsAttention' ? (parkedIn ?? 'Pending') : phase;
}

/** Not one that has found no target so far, and may find none, nor one that is taken back: the volume is of use where it is. */
function holdsPods(migration: MigrationFacts): boolean {
  const standing = standingOf(migration);
  if (standing === 'Reserving' || standing === 'Aborting' || standing === 'Aborted') return false;
  return migration.hasTarget || migration.phase === 'Pending';
}

/**
 * Required node affinity with more that must hold: added to every term, since one of them has to match. A term that matches nothing stays so.
 * @param terms undefined: none is required so far.
 */
export function requireAlso(terms: readonly NodeTerm[] | undefined, requirements: readonly NodeRequirement[]): readonly NodeTerm[] {
  if (!terms) return [{ matchExpressions: requirements }];
  return terms.map((term) => {
    const { matchExpressions = [], matchFields = [] } = term;
    if (matchExpressions.length + matchFields.length === 0) return term;
    const missing = requirements.filter(
      (requirement) => !matchExpressions.some((known) => JSON.stringify(known) === JSON.stringify(requirement)),
    );
    return { ...term, matchExpressions: [...matchExpressions, ...missing] };
  });
}

/** Without what is required of one label. undefined: nothing is required any more, because nothing else was in one of the terms. */
export function withoutRequirementsOf(key: string, terms: readonly NodeTerm[] | undefined): readonly NodeTerm[] | undefined {
  const rest = terms?.map((term) => {
    if (!term.matchExpressions?.some((requirement) => requirement.key === key)) return { term, isFree: false };
    const matchExpressions = term.matchExpressions.filter((requirement) => requirement.key !== key);
    return { term: { ...term, matchExpressions }, isFree: matchExpressions.length + (term.matchFields ?? []).length === 0 };
  });
  return rest?.some(({ isFree }) => isFree) ? undefined : rest?.map(({ term }) => term);
}

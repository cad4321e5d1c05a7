/**
 * The volumes of one pod leave together, because a pod starts only where all of its volumes are, and those of several pods where one volume is of two of
 * them. Each has a migration of its own, under its own lock; what binds them is that each looks at the others:
 *
 *   before it cuts over      it waits until every other one has a proven copy on the same node, and nobody holds any of them
 *   one is taken back        the others are taken back with it, unless it is begun anew: then they wait for it
 *   one has cut over         the others follow, whatever the world says meanwhile: half of a pod's volumes is of use nowhere
 *   two have other targets   the one whose target was chosen earlier follows
 *
 * Who looks sees what has been reported, so two that look at the same moment may see too little: then one of them waits for the next look, or has cut
 * over a moment before an abort of the other. Nothing of this protects data; that the migrations do by themselves.
 */
import type { CompanionsVerdict } from '../contracts/cluster-activities.ts';
import type { Phase } from '../contracts/phases.ts';

/** The move of another volume away from the same node. */
export interface CompanionMove {
  readonly phase: Phase;
  readonly message: string;
  readonly target?: string;
  /** How often a target or a mirror was begun. */
  readonly pairing: number;
  readonly proven: boolean;
  readonly pointOfNoReturn: boolean;
  readonly abortedByPerson: boolean;
}

export interface Companion {
  readonly volume: string;
  /** That hold it. */
  readonly nodes: readonly string[];
  /** What holds it on the source, in words. */
  readonly heldBy: readonly string[];
  /** The latest that has not ended, or has since this volume's own began. undefined: there is none. */
  readonly move?: CompanionMove;
  /** A move that has yet to begin will. */
  readonly isDue: boolean;
}

export interface OwnMove {
  readonly volume: string;
  readonly sourceNode: string;
  readonly target?: string;
  readonly pairing: number;
}

/**
 * The volumes that leave a node with this one: those bound to it, those bound to these, and so on. Whichever of them asks, they are the same.
 *
 * What does not lie on the node binds its neighbours and leads no further: each of them goes where it is, or is going, whatever else is bound to it.
 * @param neighboursOf those that a pod, a group or a wish binds to a volume directly.
 */
export function volumesBoundTo(
  volume: string,
  neighboursOf: (volume: string) => Iterable<string>,
  isOnNode: (volume: string) => boolean,
): ReadonlySet<string> {
  const bound = new Set([volume]);
  // What is added meanwhile is visited as well.
  for (const next of bound) {
    if (next !== volume && !isOnNode(next)) continue;
    for (const neighbour of neighboursOf(next)) bound.add(neighbour);
  }
  bound.delete(volume);
  return bound;
}

/** What the others mean for a volume's own migration. */
export function judgeCompanions(own: OwnMove, companions: readonly Companion[]): CompanionsVerdict {
  // One that is there already, or has another replica there, is in nobody's way.
  const bound = companions.filter(
    ({ nodes, move }) =>
      (nodes.includes(own.sourceNode) || move?.pointOfNoReturn) && !(own.target !== undefined && nodes.includes(own.target)),
  );
  const ahead = companions.find(({ move }) => move?.pointOfNoReturn && (own.target === undefined || move.target === own.target));
  const back = ahead ? undefined : companions.find(isTakenBack);
  const joined = bound.find((companion) => isToBeJoined(own, companion));
  return {
    awaits: bound.flatMap((companion) => whyAwaited(own, companion) ?? []),
    ...(back?.move && { takenBackWith: { volume: back.volume, byPerson: back.move.abortedByPerson, message: back.move.message } }),
    ...(ahead && { follows: ahead.volume }),
    ...(joined?.move?.target !== undefined && { joins: { volume: joined.volume, node: joined.move.target } }),
  };
}

function whyAwaited({ target }: OwnMove, { volume, heldBy, move, isDue }: Companion): string | undefined {
  if (!move || isOver(move)) return isDue ? `volume ${volume} (its move has not begun)` : undefined;
  if (move.target !== undefined && move.target !== target) return `volume ${volume} (goes to ${move.target})`;
  if (move.pointOfNoReturn) return undefined;
  if (SAYS_WHY.includes(move.phase)) return `volume ${volume} (${move.phase}: ${move.message})`;
  if (heldBy.length > 0) return `volume ${volume} (held by ${heldBy.join(', ')})`;
  return move.proven ? undefined : `volume ${volume} (${move.phase})`;
}

/** Phases in which a message is of use to whoever waits for the end of it. */
const SAYS_WHY: readonly Phase[] = ['Reserving', 'NeedsAttention'];

const isOver = ({ phase }: CompanionMove): boolean => phase === 'Aborted' || phase === 'Completed';

/** What a person aborts stays; what the world takes back may be begun anew, by a drain or because a pod was evicted. */
function isTakenBack({ move, isDue }: Companion): boolean {
  if (!move || move.pointOfNoReturn) return false;
  return move.abortedByPerson || (!isDue && (move.phase === 'Aborting' || move.phase === 'Aborted'));
}

function isToBeJoined(own: OwnMove, { volume, move }: Companion): boolean {
  if (!move || own.target === undefined || move.target === undefined || move.target === own.target) return false;
  if (move.pointOfNoReturn) return true;
  if (isOver(move)) return false;
  return move.pairing === own.pairing ? volume < own.volume : move.pairing > own.pairing;
}

/**
 * Who may sync now. A sync costs both its nodes: a node takes part in a limited number of them, as source or as target, and the cluster in all.
 *
 * Volumes that a pod waits for go before those that nobody uses; among them first come, first served, where both nodes have room: one that waits for
 * a busy node holds up nobody else.
 */
import type { TurnLimits, TurnRequest } from '../contracts/migration.ts';

export interface Turns {
  readonly limits: TurnLimits;
  readonly running: readonly TurnRequest[];
  readonly waiting: readonly TurnRequest[];
}

export const NO_TURNS: Turns = { limits: { perNode: 1, perCluster: 1 }, running: [], waiting: [] };

/** A repeat keeps its place; of one that runs already it is a request to be told again. The newest limits count. */
export function askForTurn(turns: Turns, request: TurnRequest, limits: TurnLimits): Turns {
  const { running, waiting } = giveTurnBack(turns, request.volume);
  const place = turns.waiting.findIndex(({ volume }) => volume === request.volume);
  const hadTurn = running.length < turns.running.length;
  if (hadTurn) return { limits, running, waiting: [request, ...waiting] };
  return { limits, running, waiting: place < 0 ? [...waiting, request] : waiting.toSpliced(place, 0, request) };
}

export function giveTurnBack({ limits, running, waiting }: Turns, volume: string): Turns {
  const others = (requests: readonly TurnRequest[]) => requests.filter((request) => request.volume !== volume);
  return { limits, running: others(running), waiting: others(waiting) };
}

/** @returns those whose turn it is now, and the turns with them. */
export function grantTurns({ limits, running, waiting }: Turns): { readonly granted: readonly TurnRequest[]; readonly turns: Turns } {
  const granted: TurnRequest[] = [];
  const [urgent, others] = [waiting.filter(({ hasUsers }) => hasUsers), waiting.filter(({ hasUsers }) => !hasUsers)];
  for (const request of [...urgent, ...others]) {
    const busy = [...running, ...granted];
    const hasRoom = [request.source, request.target].every((node) => partsOf(node, busy) < limits.perNode);
    if (hasRoom && busy.length < limits.perCluster) granted.push(request);
  }
  const rest = waiting.filter((request) => !granted.includes(request));
  return { granted, turns: { limits, running: [...running, ...granted], waiting: rest } };
}

const partsOf = (node: string, requests: readonly TurnRequest[]): number =>
  requests.filter(({ source, target }) => source === node || target === node).length;

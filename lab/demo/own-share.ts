/**
 * Rehome's own share of a move: what it costs beyond what the data, the pod and the limits on simultaneous syncs cost. Seen from outside: from the
 * times at which the phases were entered, and from the lengths of the hashes in Temporal's history.
 */

import type { Lab } from '../index.ts';
import type { Migration } from './migrations.ts';

/** Phases whose length is not Rehome's: the wait for the pod to go and for a turn, the copy, the verify. */
const NOT_OWN_SHARE: readonly string[] = ['AwaitingDetach', 'Syncing', 'Verifying'];
const ORDER = [
  'Pending',
  'Reserving',
  'AwaitingDetach',
  'Preparing',
  'Syncing',
  'Verifying',
  'CuttingOver',
  'RemovingSource',
  'Completed',
] as const;

/** Seconds; undefined while the migration has not completed. */
export async function readOwnShare(lab: Lab, { phaseTimes, workflowId }: Migration): Promise<number | undefined> {
  const { stdout } = await lab.temporal(['workflow', 'show', '-w', workflowId, '-o', 'json']);
  return ownShareSeconds(phaseTimes, stdout);
}

/**
 * Seconds from the first phase to Completed, less what is not Rehome's; undefined while it has not completed.
 * @param phaseTimes first entry into each phase, milliseconds since the epoch. @param history of its workflow, as `temporal workflow show -o json` prints it.
 */
export function ownShareSeconds(phaseTimes: Readonly<Record<string, number>>, history: string): number | undefined {
  // A copy that was made beside its pod waits for that after the verify.
  const entered = ORDER.filter((phase) => phaseTimes[phase] !== undefined).sort((a, b) => phaseTimes[a]! - phaseTimes[b]!);
  if (entered.at(-1) !== 'Completed') return undefined;
  let milliseconds = 0;
  for (const [index, phase] of entered.entries()) {
    const next = entered[index + 1];
    if (next === undefined || NOT_OWN_SHARE.includes(phase)) continue;
    milliseconds += phaseTimes[next]! - phaseTimes[phase]!;
  }
  return milliseconds / 1000 - hashSeconds(history);
}

interface HistoryEvent {
  readonly eventId: string;
  readonly eventTime: string;
  readonly activityTaskScheduledEventAttributes?: { readonly activityType: { readonly name: string } };
  readonly activityTaskCompletedEventAttributes?: { readonly scheduledEventId: string };
}

/** The check that hashes both devices whole takes as long as the data is large, and is an option. Both may be hashed at the same time. */
function hashSeconds(history: string): number {
  const { events } = JSON.parse(history) as { readonly events: readonly HistoryEvent[] };
  const begun = new Map<string, number>();
  let milliseconds = 0;
  let hashedUntil = 0;
  for (const { eventId, eventTime, ...event } of events) {
    if (event.activityTaskScheduledEventAttributes?.activityType.name === 'hashVolume') begun.set(eventId, Date.parse(eventTime));
    const start = begun.get(event.activityTaskCompletedEventAttributes?.scheduledEventId ?? '');
    if (start === undefined) continue;
    const end = Date.parse(eventTime);
    milliseconds += end - Math.max(start, hashedUntil);
    hashedUntil = end;
  }
  return milliseconds / 1000;
}

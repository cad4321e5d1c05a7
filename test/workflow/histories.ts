/**
 * Histories of workflows that really ran, kept to be replayed.
 *
 * `histories/<workflow>.<scenario>.<origin>.json.gz` is one run, as Temporal's own tools write it (`zcat`). Its origin is `lab`, where agents moved real
 * volumes, or `fake`, where the cluster was in memory. `record-histories.ts` writes them.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { WorkflowType } from '../../core/contracts/names.ts';

export type WorkflowName = keyof typeof WorkflowType;
export type Origin = 'lab' | 'fake';
export type History = Parameters<typeof historyToJSON>[0];

const DIRECTORY = join(import.meta.dirname, 'histories');
const ROOT = resolve(import.meta.dirname, '../..');

/** Runs of every workflow: to its end, taken back, parked, and what people and crashes make of one. */
const OF_EVERY_WORKFLOW = [
  'completed',
  'aborted',
  /** Or, of an eviction and of the turns, of a volume of theirs. */
  'parked',
  /** The controller died under it. */
  'crashed',
  'terminated',
  /** The run after the terminated one. */
  'resumed',
  /** Ended because its history became too long. */
  'continued',
  /** The last one after that. */
  'continuation',
] as const;

/** What has to be kept of each workflow. */
export const SCENARIOS = {
  migrateVolume: [
    ...OF_EVERY_WORKFLOW,
    /** Reset in its cut-over. */
    'reset',
    /** Resumed past the point of no return. */
    'forward',
    /** For a target, the volume's users, the API server, its turn and an agent. */
    'waited',
    /** To another target. */
    'redirected',
    /** After something was written past the mirror. */
    'repaired',
    /** With a new pairing. */
    'renewed',
    /** After a restart of the target. */
    'reconnected',
    /** Beside the volume's users. */
    'online',
    'hashed',
    /** By a LocalVolumeMigrate that somebody made. */
    'requested',
    'nothing-to-move',
  ],
  /** Revived: one of theirs was terminated, and found. */
  evictNode: [...OF_EVERY_WORKFLOW, 'revived'],
  evictPod: [...OF_EVERY_WORKFLOW, 'revived'],
  limitSyncs: [...OF_EVERY_WORKFLOW, 'revived'],
} as const satisfies Record<WorkflowName, readonly string[]>;

export interface KeptHistory {
  readonly file: string;
  readonly workflow: string;
  readonly scenario: string;
  readonly origin: string;
  /** As JSON. */
  readonly history: { readonly events: readonly Event[] };
}

/** What is read of one here. */
interface Event {
  readonly eventId: string;
  readonly workflowExecutionStartedEventAttributes?: { readonly workflowId: string; readonly workflowType: { readonly name: string } };
  readonly activityTaskScheduledEventAttributes?: { readonly activityType: { name: string } };
}

export function readHistories(): readonly KeptHistory[] {
  const files = readdirSync(DIRECTORY).filter((name) => name.endsWith('.json.gz'));
  return files.sort().map((file) => {
    const [workflow = '', scenario = '', origin = ''] = file.split('.');
    return { file, workflow, scenario, origin, history: JSON.parse(gunzipSync(readFileSync(join(DIRECTORY, file))).toString()) };
  });
}

/** @returns the file's name. @throws where the history is of another workflow, or something in it betrays where it was recorded. */
export function keepHistory(workflow: WorkflowName, scenario: string, origin: Origin, history: History): string {
  const scenarios: readonly string[] = SCENARIOS[workflow];
  if (!scenarios.includes(scenario)) throw new Error(`${workflow} has no scenario ${scenario}: there are ${scenarios.join(', ')}`);
  const text = JSON.stringify(withoutOrigin(JSON.parse(historyToJSON(history))));
  const file = `${workflow}.${scenario}.${origin}.json.gz`;
  const betrayed = betrayalsIn(JSON.parse(text), [ROOT, homedir()]);
  if (betrayed.length > 0) throw new Error(`${file} is not kept: ${betrayed.join(', ')} would stand in it`);
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(join(DIRECTORY, file), gzipSync(text, { level: 9 }));
  return file;
}

export const workflowIdOf = ({ history }: KeptHistory): string =>
  history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId ?? '';
export const workflowTypeOf = ({ events }: KeptHistory['history']): string =>
  events[0]?.workflowExecutionStartedEventAttributes?.workflowType.name ?? '';

/** Of no use in a replay, and full of names and paths of the machine: who polled, the queue of one process, the stack of a failure. */
function withoutOrigin(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOrigin);
  if (typeof value !== 'object' || value === null) return value;
  const isSticky = 'kind' in value && value.kind === 'TASK_QUEUE_KIND_STICKY';
  const entries = Object.entries(value).map(([key, inner]) => {
    if (key === 'identity') return [key, 'recorded'];
    if (key === 'stackTrace') return [key, ''];
    return [key, isSticky && key === 'name' ? 'sticky' : withoutOrigin(inner)];
  });
  return Object.fromEntries(entries);
}

/** What a history must not hold beside the given texts: processes named by number and host, files in people's folders, secrets. */
const BETRAYING = /\b\d+@[\w.-]+|\/(?:home|root|tmp|work|Users)\/[^"\s]*|(?:secret|password)=(?!\[redacted\])|BEGIN [A-Z ]*KEY/gi;

/** @param texts that must not occur either. */
export function betrayalsIn(history: unknown, texts: readonly string[] = []): readonly string[] {
  const all = [...textsIn(history)];
  const named = texts.filter((text) => text.length > 1 && all.some((each) => each.includes(text)));
  return [...new Set([...named, ...all.flatMap((each) => each.match(BETRAYING) ?? [])])];
}

/** Payloads decoded. */
function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'data' && typeof inner === 'string') yield Buffer.from(inner, 'base64').toString();
      yield* textsIn(inner);
    }
  }
}

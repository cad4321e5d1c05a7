/** What a person reads in Temporal's Web UI of a migration or an eviction: markdown, made from what the workflow knows. */
import type { NodeEvictionFacts, PodEvictionFacts } from '../contracts/cluster-activities.ts';
import type { MigrationProgress, TurnRequest } from '../contracts/migration.ts';
import type { Refusal } from '../contracts/reasons.ts';
import { inWords } from './stay.ts';
import type { Turns } from './turns.ts';

export interface MigrationView extends MigrationProgress {
  /** 0 to 100, of the sync or verify that runs, as it was then, in milliseconds since 1970: a long one is looked at seldom. */
  readonly done?: { readonly percent: number; readonly at: number };
  /** By node, why it is no target; undefined: it does not wait for one. */
  readonly refusals?: Readonly<Record<string, Refusal>>;
  readonly waitsForApiServer: boolean;
  /** Why it was parked last, also when it goes on again. */
  readonly lastFailure?: string;
  readonly abortable: boolean;
}

export function describeMigration(view: MigrationView): string {
  const { volume, sourceNode, targetNode, phase, done, message, refusals = {}, waitsForApiServer, lastFailure, abortable } = view;
  const lines = [
    `**${inCell(volume)}** from **${sourceNode}** to ${targetNode ? `**${targetNode}**` : 'a node not chosen yet'}`,
    '',
    `- ${phase}${done ? `, ${done.percent} % at ${clockTime(done.at)}` : ''}: ${inCell(message)}`,
    ...Object.entries(refusals).map(([node, refusal]) => `  - ${node}: ${refusal}`),
    ...(waitsForApiServer ? ['- waits for the API server'] : []),
    ...(lastFailure ? [`- last failure: ${inCell(lastFailure)}`] : []),
    ...(phase === 'NeedsAttention' ? ['- signal `retry` goes on'] : []),
    abortable
      ? '- signal `abort` (or Request Cancellation) leaves the volume where it is'
      : '- past the point of no return: it only goes forward',
  ];
  return lines.join('\n');
}

const clockTime = (at: number): string => `${new Date(at).toISOString().slice(11, 19)} UTC`;

export interface EvictionView {
  readonly node: string;
  /** undefined: no look at the node has succeeded yet. */
  readonly facts?: NodeEvictionFacts;
  /** Held back by a person. */
  readonly held: readonly string[];
  /** Until then nothing is begun, in milliseconds since 1970. */
  readonly waitsUntil?: number;
  /** What failed and is tried again. */
  readonly troubles: readonly string[];
  readonly waitsForApiServer: boolean;
}

export function describeEviction({ node, facts, held, waitsUntil, troubles, waitsForApiServer }: EvictionView): string {
  const rows = facts ? volumeRows(facts, held) : [];
  const table = [['volume', 'target', 'phase', 'done', 'what happens'], ['---', '---', '---', '---', '---'], ...rows];
  const left = facts && rows.length === 0 ? '; no volume is left' : '';
  return [
    `**${node}**: ${facts ? standing(facts, waitsUntil) : 'not looked at yet'}${left}`,
    ...(rows.length > 0 ? ['', ...table.map((cells) => `| ${cells.join(' | ')} |`)] : []),
    ...(waitsForApiServer || troubles.length > 0 ? [''] : []),
    ...(waitsForApiServer ? ['- waits for the API server'] : []),
    ...troubles.map((trouble) => `- failed, and is tried again: ${inCell(trouble)}`),
  ].join('\n');
}

function volumeRows(facts: NodeEvictionFacts, held: readonly string[]): readonly (readonly string[])[] {
  const running = new Map(facts.running.map((migration) => [migration.volume, migration]));
  const staying = new Map(facts.volumes.map(({ volume, stays }) => [volume, stays && inWords(volume, stays)]));
  const volumes = [...new Set([...staying.keys(), ...running.keys()])].sort();
  return volumes.map((volume) => {
    const migration = running.get(volume);
    const waits = staying.get(volume) ?? (held.includes(volume) ? 'held back by a person until the node is uncordoned' : 'not begun');
    const percent = migration?.percent === undefined ? '' : `${migration.percent} %`;
    return [volume, migration?.target ?? '', migration?.phase ?? '', percent, migration?.message ?? waits].map(inCell);
  });
}

export interface PodEvictionView {
  /** Namespace and name. */
  readonly pod: string;
  readonly node: string;
  /** undefined: no look has succeeded yet. */
  readonly facts?: PodEvictionFacts;
  /** What failed and is tried again. */
  readonly troubles: readonly string[];
  readonly waitsForApiServer: boolean;
}

export function describePodEviction({ pod, node, facts, troubles, waitsForApiServer }: PodEvictionView): string {
  const running = new Map(facts?.running.map((migration) => [migration.volume, migration]));
  const volumes = [...new Set([...(facts?.volumes ?? []).map(({ volume }) => volume), ...running.keys()])].sort();
  const lines = volumes.map((volume) => {
    const { phase, message, target, percent } = running.get(volume) ?? {};
    const done = percent === undefined ? '' : `, ${percent} %`;
    return `- ${volume}${target ? ` to ${target}` : ''}: ${phase ? `${phase}${done}: ${message}` : 'does not move'}`;
  });
  return [
    `pod **${pod}** was evicted from **${node}**: its volumes move to another node, and its successors wait for them`,
    '',
    ...(facts?.unwanted === undefined ? [] : [`- ${facts.unwanted}`]),
    ...lines.map((line) => line.replaceAll(/\s+/g, ' ')),
    ...(waitsForApiServer ? ['- waits for the API server'] : []),
    ...troubles.map((trouble) => `- failed, and is tried again: ${inCell(trouble)}`),
  ].join('\n');
}

/** @param trouble what failed and is tried again. */
export function describeTurns({ limits, running, waiting }: Turns, trouble?: string): string {
  const named = (requests: readonly TurnRequest[]) =>
    requests.map(({ volume, source, target }) => `${volume} (${source} → ${target})`).join(', ') || 'none';
  return [
    `at most ${limits.perNode} syncs a node, ${limits.perCluster} in the cluster`,
    '',
    `- sync: ${named(running)}`,
    `- wait: ${named(waiting)}`,
    ...(trouble ? [`- failed, and is tried again: ${inCell(trouble)}`] : []),
  ].join('\n');
}

function standing({ exists, cordoned, disabled }: NodeEvictionFacts, waitsUntil: number | undefined): string {
  if (!exists) return 'the node is gone';
  if (!cordoned) return 'not cordoned, nothing is to move';
  if (disabled) return 'label hwameistor.io/eviction=disable keeps its volumes';
  return waitsUntil === undefined ? 'cordoned, its volumes move' : `cordoned, its volumes move ${delayInWords(waitsUntil)}`;
}

/** @param until milliseconds since 1970. */
export function delayInWords(until: number): string {
  return `from ${new Date(until).toISOString()} on, unless it is uncordoned before`;
}

/** Messages of programs have line breaks, and bars would end the cell. */
function inCell(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim();
}

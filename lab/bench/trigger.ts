/** How soon a cordon is acted upon: the moment before the API server is asked for it, to workflows that run, to data that travels. */
import type { Steps } from '../index.ts';
import { KernelLog } from './kernel-log.ts';
import { table } from './report.ts';
import type { Site } from './site.ts';
import { median } from './statistics.ts';

const VOLUME_BYTES = 16 * 2 ** 20;

/** Seconds after the cordon. */
export interface Reaction {
  /** Temporal has the workflow of the node's eviction. */
  readonly eviction: number;
  /** Temporal has the workflow of the volume's migration. */
  readonly migration: number;
  /** The source's kernel sends: the mirror stands on both nodes. */
  readonly firstByte: number;
}

export async function benchTrigger(site: Site, steps: Steps, runs: number): Promise<Reaction[]> {
  const reactions: Reaction[] = [];
  while (reactions.length < runs) {
    const reaction = await measureReaction(site, `bench-trigger-${reactions.length + 1}`);
    reactions.push(reaction);
    const { eviction, migration, firstByte } = reaction;
    const said = `eviction ${seconds(eviction)}, migration ${seconds(migration)}, first byte ${seconds(firstByte)} after the cordon`;
    steps.say(`${reactions.length} of ${runs}: ${said}`);
  }
  return reactions;
}

async function measureReaction(site: Site, volume: string): Promise<Reaction> {
  await site.lab.createVolume({ name: volume, node: site.source.name, size: String(VOLUME_BYTES), fileSystem: 'block' });
  const log = await KernelLog.mark(site.source);
  const cordonedAt = await site.cordon();
  await site.awaitMoved(volume);
  const times = {
    eviction: await site.workflowStartedAt(site.evictionWorkflow),
    migration: await site.workflowStartedAt(`migrate-${volume}`),
    firstByte: log.toEpoch((await log.resyncOf(VOLUME_BYTES)).beganAt),
  };
  await site.uncordon();
  await site.lab.deleteVolume(volume);
  return secondsAfter(cordonedAt, times);
}

/** @throws where something was there before the cordon: it is not its doing. */
export function secondsAfter(cordonedAt: number, times: Reaction): Reaction {
  const after = (name: keyof Reaction): number => {
    if (times[name] < cordonedAt) throw new Error(`${name} began ${cordonedAt - times[name]} ms before the cordon`);
    return (times[name] - cordonedAt) / 1000;
  };
  return { eviction: after('eviction'), migration: after('migration'), firstByte: after('firstByte') };
}

const ROWS: readonly (readonly [keyof Reaction, string])[] = [
  ['eviction', "the node's eviction starts"],
  ['migration', "the volume's migration starts"],
  ['firstByte', 'the first byte is synced'],
];

export function triggerReport(reactions: readonly Reaction[]): string {
  const rows = ROWS.map(([key, name]) => {
    const values = reactions.map((reaction) => reaction[key]);
    return [name, ...values.map(seconds), seconds(median(values)), seconds(Math.max(...values))];
  });
  return table([['from the cordon until', ...reactions.map((_, index) => `run ${index + 1}`), 'median', 'max'], ...rows]);
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}

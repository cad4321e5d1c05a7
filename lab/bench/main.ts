/**
 * `npm run bench -- sync` and `npm run bench -- trigger`: figures of a lab of its own, as tables.
 *
 *   sync     the rate of a sync beside that of a raw copy, and a writer's latency; exits 1 where the sync is not REQUIRED_RATIO times as fast
 *   trigger  from a cordon to workflows and to the first byte
 */
import { parseArgs } from 'node:util';
import { inWords, parseCommandLine } from '../command-line.ts';
import { COLLECTOR } from '../demo/collector.ts';
import { Lab, Steps, takeDownOnInterrupt } from '../index.ts';
import { volumeBytes } from '../volume/quantity.ts';
import { describeMachine, writeToDocument } from './report.ts';
import { NODES, Site } from './site.ts';
import { benchSync, REQUIRED_RATIO, ratioOf, syncReport } from './sync.ts';
import { benchTrigger, triggerReport } from './trigger.ts';

const USAGE = `usage: npm run bench -- COMMAND [--write] [--keep]
  sync [--pairs 3] [--size 512Mi]     rates and latencies
  trigger [--runs 5]                  from a cordon to the first byte
  --write                             puts the tables into docs/performance.md
  --keep                              leaves the lab running
  --help                              this text`;

interface Bench {
  readonly name: string;
  readonly measure: (site: Site, steps: Steps) => Promise<{ readonly report: string; readonly failure?: string }>;
}

const OPTIONS = {
  pairs: { type: 'string', default: '3' },
  size: { type: 'string', default: '512Mi' },
  runs: { type: 'string', default: '5' },
  write: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
} as const;

function parseBench(args: string[]) {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  const [name] = positionals;
  const [pairs, runs, bytes] = [count('pairs', values.pairs), count('runs', values.runs), volumeBytes(values.size)];
  const benches: Readonly<Record<string, Bench['measure']>> = {
    sync: async (site, steps) => {
      const result = await benchSync(site, steps, { pairs, bytes });
      const ratio = ratioOf(result.pairs);
      const failure = `a sync is ${ratio.toFixed(2)} times as fast as a raw copy: at least ${REQUIRED_RATIO} are required`;
      return { report: syncReport(result), ...(ratio < REQUIRED_RATIO && { failure }) };
    },
    trigger: async (site, steps) => ({ report: triggerReport(await benchTrigger(site, steps, runs)) }),
  };
  const measure = benches[name ?? ''];
  if (!name || !measure || positionals.length > 1) throw new Error('which one: sync or trigger?');
  return { bench: { name, measure } satisfies Bench, write: values.write, keep: values.keep };
}

function count(option: string, text: string): number {
  if (!/^[1-9]\d?$/.test(text)) throw new Error(`--${option} ${text}: 1 to 99`);
  return Number(text);
}

/** @returns the exit code. */
async function measureAndReport(lab: Lab, steps: Steps, { name, measure }: Bench, write: boolean): Promise<number> {
  const site = new Site(lab);
  const { report, failure } = await measure(site, steps);
  const text = `${await describeMachine(site)}\n\n${report}`;
  console.log(`\n${text}\n`);
  if (write) await writeToDocument(name, text);
  if (failure) console.error(failure);
  return failure ? 1 : 0;
}

async function main(): Promise<void> {
  const { bench, write, keep } = parseCommandLine(parseBench, USAGE);
  const steps = new Steps();
  const interruption = takeDownOnInterrupt(steps);
  let exitCode = 1;
  try {
    const lab = await Lab.up({ nodes: NODES, steps, willListenOn: [COLLECTOR] });
    try {
      exitCode = await measureAndReport(lab, steps, bench, write);
    } finally {
      if (keep && !interruption.begun) lab.keep();
      else if (!interruption.begun) await Lab.downOwn({ steps });
    }
  } catch (error) {
    if (!interruption.begun) console.error(inWords(error));
  }
  // Whoever interrupted it ends it, when everything is down.
  if (!interruption.begun) process.exit(exitCode);
}

await main();

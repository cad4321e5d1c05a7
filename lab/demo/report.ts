/** What the demo says at its end. */
import type { Lab } from '../index.ts';
import type { DrainResult } from './drain.ts';
import type { DrainOptions } from './options.ts';

/** What a move costs of Rehome's own time in the emulated lab, at most; a test holds it, too. */
const OWN_SHARE_SECONDS = 15;

export async function printReport(lab: Lab, result: DrainResult, options: DrainOptions): Promise<void> {
  const { checks, migrations, ownShares, downtimes } = result;
  console.log(`\n${(await lab.kubectl(['get', 'localvolumereplicas'])).stdout}`);

  const copied = options.online ? ' (its volume had been copied beside it)' : '';
  console.log(`Each pod was down, from its last acknowledged write on n1 to its first on the new node${copied}:`);
  for (const [writer, gap] of Object.entries(downtimes))
    console.log(`  ${writer.padEnd(16)} ${gap ? seconds(gap.to - gap.from) : 'unknown'}`);

  console.log("\nRehome's own share of each move (all but copy, verify, hashes, and the waits for the pod to go and for a turn to sync):");
  for (const [volume, share] of Object.entries(ownShares)) console.log(`  ${volume.padEnd(16)} ${inWords(share, options)}`);

  console.log('\nThe migrations in the Temporal UI:');
  for (const { workflowId } of migrations) console.log(`  ${lab.temporalUiUrl}/namespaces/default/workflows/${workflowId}`);

  console.log('\nChecks:');
  for (const { claim, holds, detail } of checks) console.log(`  ${holds ? 'ok    ' : 'FAILED'} ${claim} (${detail})`);
  console.log(checks.every(({ holds }) => holds) ? '\nEverything held.\n' : '\nNot everything held.\n');
}

function inWords(ownShareSeconds: number | undefined, { chaos }: DrainOptions): string {
  if (ownShareSeconds === undefined) return 'unknown';
  const cause = chaos ? 'what was killed was away for a part of it' : 'the machine is slow, or busy with something else';
  const over = `  (more than ${OWN_SHARE_SECONDS} s: ${cause})`;
  return `${seconds(ownShareSeconds * 1000)}${ownShareSeconds > OWN_SHARE_SECONDS ? over : ''}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1).padStart(6)} s`;
}

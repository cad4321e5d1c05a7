/** What the demo says at its end. */
import type { Lab } from '../index.ts';
import type { DrainResult } from './drain.ts';
import { ownShareSeconds } from './migrations.ts';

/** Rehome's own share of a move, in the emulated lab, at most. */
const OWN_SHARE_LIMIT_SECONDS = 15;

export async function printReport(lab: Lab, { checks, migrations, downtimes }: DrainResult): Promise<void> {
  console.log(`\n${(await lab.kubectl(['get', 'localvolumereplicas'])).stdout}`);

  console.log('Each pod was down, from its last acknowledged write on n1 to its first on the new node:');
  for (const [writer, gap] of Object.entries(downtimes))
    console.log(`  ${writer.padEnd(16)} ${gap ? seconds(gap.to - gap.from) : 'unknown'}`);

  console.log("\nRehome's own share of each move (all but the copy, the verify and the wait for the pod to go):");
  for (const { volume, phaseTimes } of migrations) {
    const share = ownShareSeconds(phaseTimes);
    const verdict = share !== undefined && share > OWN_SHARE_LIMIT_SECONDS ? `  more than ${OWN_SHARE_LIMIT_SECONDS} s` : '';
    console.log(`  ${volume.padEnd(16)} ${share === undefined ? 'unknown' : seconds(share * 1000)}${verdict}`);
  }

  console.log('\nThe migrations in the Temporal UI:');
  for (const { workflowId } of migrations) console.log(`  ${lab.temporalUiUrl}/namespaces/default/workflows/${workflowId}`);

  console.log('\nChecks:');
  for (const { claim, holds, detail } of checks) console.log(`  ${holds ? 'ok    ' : 'FAILED'} ${claim} (${detail})`);
  console.log(checks.every(({ holds }) => holds) ? '\nEverything held.\n' : '\nNot everything held.\n');
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1).padStart(6)} s`;
}

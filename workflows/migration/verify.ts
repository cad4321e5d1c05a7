/** The proof that the copy is good: a verify over the whole device without a difference. */
import { judgeVerify, type VerifyVerdict } from '../../core/domain/verify-proof.ts';
import { MigrationFailure } from '../failure.ts';
import { catchUp } from './mirror.ts';
import { report } from './report.ts';
import { type MigrationRun, requireMirror } from './run.ts';
import type { RunStage, Stage } from './stages.ts';
import { control, sync } from './steps.ts';
import { mayGoOn } from './turn.ts';

/** Passes that found differences or proved nothing; the one after them has to succeed. */
const MAXIMUM_FUTILE_PASSES = 3;

export const verify: RunStage = async (run) => {
  const { source, target } = requireMirror(run);
  await report(run, 'Verifying', `compares ${source.node} and ${target.node}`);
  return (await prove(run)) ?? 'CuttingOver';
};

/**
 * Verifies, sends differences, verifies again.
 * @returns where to go on, if the mirror no longer stands as it should, or it is not its turn. @throws MigrationFailure VerifyIncomplete
 */
export async function prove(run: MigrationRun): Promise<Stage | undefined> {
  for (let futile = 0; ; futile++) {
    if (!mayGoOn(run)) return 'AwaitingDetach';
    const verdict = await verifyOnce(run);
    if (verdict.kind === 'proven') {
      run.verified = true;
      return undefined;
    }
    if (futile >= MAXIMUM_FUTILE_PASSES) {
      throw new MigrationFailure({ reason: 'VerifyIncomplete', message: verdict.message, permanent: true, lookHelps: false });
    }
    await report(run, run.phase, `${verdict.message}: verifies again`);
    if (verdict.kind === 'differences') await repair(run);
    const elsewhere = await catchUp(run);
    if (elsewhere) return elsewhere;
  }
}

async function verifyOnce(run: MigrationRun): Promise<VerifyVerdict> {
  const mirror = requireMirror(run);
  const { source, target, sizeBytes } = mirror;
  const readCounter = () => control(run, target.node, `read the counter on ${target.node}`, (agent) => agent.readTargetCounter({ mirror }));
  const { readKib: readKibBefore } = await readCounter();
  const report = await sync(run, source.node, `verify ${source.node} against ${target.node}`, (agent) => agent.verifyMirror({ mirror }));
  const { readKib: readKibAfter } = await readCounter();
  return judgeVerify({ sizeBytes, readKibBefore, readKibAfter, report });
}

function repair(run: MigrationRun): Promise<void> {
  const mirror = requireMirror(run);
  return control(run, mirror.source.node, 'send the differences again', (agent) => agent.repairMirror({ mirror }));
}

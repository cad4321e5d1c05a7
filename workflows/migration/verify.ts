/** The proof that the copy is good: a verify over the whole device without a difference. */
import type { SectorRange } from '../../core/contracts/node-activities.ts';
import { bytesIn } from '../../core/domain/sector-ranges.ts';
import { joinVerdicts, judgeVerify, passesOver, type VerifyVerdict } from '../../core/domain/verify-proof.ts';
import { MigrationFailure } from '../failure.ts';
import { catchUp, readTargetCounter } from './mirror.ts';
import { report } from './report.ts';
import { type MigrationRun, requireFacts, requireMirror } from './run.ts';
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
 * Verifies, sends differences, verifies again. What DRBD skipped because it was being written is left for the closed volume, and compared alone then.
 * @returns where to go on, if the mirror no longer stands as it should, or it is not its turn. @throws MigrationFailure VerifyIncomplete
 */
export async function prove(run: MigrationRun): Promise<Stage | undefined> {
  for (let futile = 0; ; futile++) {
    if (!mayGoOn(run)) return 'AwaitingDetach';
    const { verdict, readKib } = await verifyOnce(run);
    const uncompared = stillToCompare(verdict);
    Object.assign(run, { verified: uncompared !== undefined, uncompared: uncompared ?? [], provenReadKib: readKib });
    if (verdict.kind === 'proven') return undefined;
    if (verdict.kind === 'skipped' && !run.closed) {
      await report(run, run.phase, `${verdict.message}: compares it once the volume is closed`);
      return undefined;
    }
    if (futile >= MAXIMUM_FUTILE_PASSES) {
      if (!run.closed && requireFacts(run).heldBy.length > 0) {
        run.verifyClosed = true;
        return 'AwaitingDetach';
      }
      throw new MigrationFailure({ reason: 'VerifyIncomplete', message: verdict.message, permanent: true, lookHelps: false });
    }
    await report(run, run.phase, `${verdict.message}: verifies again`);
    if (verdict.kind === 'differences') await repair(run);
    const elsewhere = await catchUp(run);
    if (elsewhere) return elsewhere;
  }
}

/** @returns undefined: all of it. */
function stillToCompare(verdict: VerifyVerdict): readonly SectorRange[] | undefined {
  if (verdict.kind === 'proven') return [];
  return verdict.kind === 'skipped' ? verdict.ranges : undefined;
}

interface Pass {
  readonly verdict: VerifyVerdict;
  /** What the target's counter said after it. */
  readonly readKib: number;
}

/** The whole device, or what a verify of all the rest has skipped. */
async function verifyOnce(run: MigrationRun): Promise<Pass> {
  const { sizeBytes } = requireMirror(run);
  const rest = run.verified && run.uncompared.length > 0 ? run.uncompared : undefined;
  const passes: Pass[] = [];
  for (const ranges of rest ? [rest] : passesOver(sizeBytes)) {
    const pass = await verifyRanges(run, ranges);
    passes.push(pass);
    if (stillToCompare(pass.verdict) === undefined) break;
  }
  return { verdict: joinVerdicts(passes.map(({ verdict }) => verdict)), readKib: passes.at(-1)!.readKib };
}

async function verifyRanges(run: MigrationRun, ranges: readonly SectorRange[] | undefined): Promise<Pass> {
  const mirror = requireMirror(run);
  const { source, target } = mirror;
  const { closed } = run;
  const { readKib: readKibBefore, ...position } = await readTargetCounter(run, mirror);
  const summary = `verify ${source.node} against ${target.node}`;
  const report = await sync(run, source.node, summary, (agent) => agent.verifyMirror({ mirror, ...(ranges && { ranges }) }));
  const { readKib: readKibAfter, skipped: skippedByTarget } = await readTargetCounter(run, mirror, position);
  const sizeBytes = ranges ? bytesIn(ranges) : mirror.sizeBytes;
  const verdict = judgeVerify({ sizeBytes, readKibBefore, readKibAfter, report, skippedByTarget, closed });
  return { verdict, readKib: readKibAfter };
}

function repair(run: MigrationRun): Promise<void> {
  const mirror = requireMirror(run);
  return control(run, mirror.source.node, 'send the differences again', (agent) => agent.repairMirror({ mirror }));
}

/** Where a run begins: what is recorded, what the objects say, what stands on the nodes. */
import type { MigrationRecord } from '../../core/contracts/cluster-activities.ts';
import type { NodeVolumeFacts } from '../../core/contracts/node-activities.ts';
import type { PermanentError } from '../../core/contracts/reasons.ts';
import { chooseEntry, isCutOver } from '../../core/domain/entry.ts';
import { choosePairing, isClosed } from '../../core/domain/pairing.ts';
import { checkLogicalVolume, checkObjects } from '../../core/domain/source-check.ts';
import { badInput, failureOf, MigrationFailure } from '../failure.ts';
import { look } from './attend.ts';
import { report } from './report.ts';
import { adoptRecord, type MigrationRun, requireFacts, requireRef } from './run.ts';
import type { RunStage } from './stages.ts';
import { control, inCluster } from './steps.ts';

/** Asks no agent, so that it ends whoever is away. */
export const observe: RunStage = async (run) => {
  const { volume } = run.input;
  const lookedFrom = run.sourceNode;
  const [found] = await Promise.all([inCluster(run, 'find the record', (cluster) => cluster.findMigration({ volume })), look(run)]);
  // This run is a reset of one that has ended: what it knows is of the past, and what is to be done now is for a run that knows nothing yet.
  if (run.ref && found?.ref.uid !== run.ref.uid) return 'NothingToMove';
  // A run before this one may have asked for a turn, and not given it back.
  if (found && !run.ref) run.turnWanted = true;
  if (found) adoptRecord(run, found);
  if (run.sourceNode !== lookedFrom) await look(run);
  const record = found && { ...found, pointOfNoReturn: run.pointOfNoReturn };
  const entry = chooseEntry(record, requireFacts(run), run.sourceNode);
  if (entry !== 'Open') return entry;

  const opened = await openRecord(run);
  if (!opened) return 'NothingToMove';
  adoptRecord(run, opened);
  await report(run, 'Pending', 'looks at the volume', { event: 'MigrationStarted' });
  const reopened = chooseEntry(opened, requireFacts(run), run.sourceNode);
  return reopened === 'Open' ? 'Pending' : reopened;
};

/** What another has done since the volume was looked at: moved it, or taken the request back. */
const OVERTAKEN: readonly string[] = ['SourceReplicaMissing', 'RequestWithdrawn'] satisfies readonly PermanentError[];

/** @returns undefined where there is nothing to do any more. */
async function openRecord(run: MigrationRun): Promise<MigrationRecord | undefined> {
  try {
    return await inCluster(run, 'open the record', (cluster) => cluster.openMigration(run.input));
  } catch (error) {
    if (!OVERTAKEN.includes(failureOf(error)?.reason ?? '')) throw error;
    return undefined;
  }
}

/** Checks the source, and finds out how far an earlier run got. */
export const lookAtNodes: RunStage = async (run) => {
  const ref = requireRef(run);
  const facts = requireFacts(run);
  const wrong = checkObjects(facts, run.sourceNode);
  if (wrong) throw badInput(wrong);

  const pool = facts.localVolume?.pool ?? '';
  // Without a pairing nothing was made on the target, and its agent need not be there yet.
  const begunOn = run.pairing === undefined ? undefined : run.target;
  const [source, target] = await Promise.all([nodeFacts(run, run.sourceNode, pool), begunOn && nodeFacts(run, begunOn.node, pool)]);
  if (isCutOver([source, target], ref.uid)) {
    run.pointOfNoReturn = true;
    return 'CuttingOver';
  }
  const lying = checkLogicalVolume(facts, source, { sourceNode: run.sourceNode, migrationUid: ref.uid });
  if (lying) throw badInput(lying);
  const recorded = run.source;
  describeSource(run, pool, source);
  if (!run.target) return 'Reserving';
  continuePairing(run, source, ref.uid);
  // A mirror that stands has the address it was made with, also where the node has another since.
  if (run.mirrorStands && recorded) run.source = recorded;
  return run.closed ? 'CuttingOver' : 'AwaitingDetach';
};

function nodeFacts(run: MigrationRun, node: string, pool: string): Promise<NodeVolumeFacts> {
  const { volume } = run.input;
  return control(run, node, `look at the volume on ${node}`, (agent) => agent.observeVolume({ volume, pool }));
}

function describeSource(run: MigrationRun, pool: string, { logicalVolume }: NodeVolumeFacts): void {
  const source = run.facts?.source ?? run.source;
  const sizeBytes = logicalVolume?.sizeBytes ?? 0;
  if (!source) {
    const message = `${run.sourceNode} has no LocalStorageNode with a storage address`;
    throw badInput({ reason: 'SourceReplicaMissing', message });
  }
  if (run.pairing !== undefined && run.sizeBytes !== undefined && run.sizeBytes !== sizeBytes) {
    const message = `the logical volume has ${sizeBytes} bytes, it had ${run.sizeBytes} when its mirror was made: abort this migration`;
    throw new MigrationFailure({ reason: 'LogicalVolumeSizeMismatch', message, permanent: true, lookHelps: true });
  }
  Object.assign(run, { pool, sizeBytes, thin: logicalVolume?.thin, source });
}

/** The mirror of an earlier run goes on where it still stands, else it begins anew. */
function continuePairing(run: MigrationRun, source: NodeVolumeFacts, migrationUid: string): void {
  if (run.pairing === undefined) return;
  const pairing = choosePairing(run.pairing, source, migrationUid);
  run.mirrorStands = pairing === run.pairing;
  run.closed = run.mirrorStands && isClosed(source);
  // What was verified was another mirror.
  run.verified &&= run.mirrorStands;
  run.pairing = pairing;
}

/**
 * Writes how far a migration is: into its LocalVolumeMigrate, and as Events.
 *
 * What is written here is what agents take their permission from, so a report must not undo another: it is a compare-and-swap on the phase that was
 * read, an ended migration takes no report, past the point of no return there is no way back to an earlier phase, and a report that was ordered before
 * the last one is of a run that was terminated since.
 */
import type { ClusterActivities, PhaseReport } from '../../core/contracts/cluster-activities.ts';
import type { LocalVolumeMigrate, LocalVolumeMigrateStatus } from '../../core/contracts/objects/index.ts';
import { isTerminal, type Phase, stateOfPhase } from '../../core/contracts/phases.ts';
import type { EventReason, Refusal } from '../../core/contracts/reasons.ts';
import type { MergePatch } from '../../system/kube/client.ts';
import { isConflict } from '../../system/kube/errors.ts';
import { type Regarding, regarding } from '../../system/kube/events.ts';
import { localVolumeMigrates, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { keyOf, nodes, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import type { ClusterDependencies } from './dependencies.ts';
import { permanent } from './failures.ts';
import { readMigration } from './migration-record.ts';
import type { ClusterStores, PodView } from './stores.ts';
import { claimOf, podsOf } from './volume-objects.ts';

type Deps = Pick<ClusterDependencies, 'kube' | 'stores' | 'now' | 'scheduledAt' | 'events'>;

/** The phases that follow the point of no return; a migration may be parked in any of them. */
const FORWARD: readonly Phase[] = ['CuttingOver', 'RemovingSource', 'Completed', 'NeedsAttention'];
const WARNINGS: readonly EventReason[] = ['WaitingForTarget', 'TargetGivenUp', 'NeedsAttention'];
/** The last verify of a closed volume is in the cut-over. In the other phases a percentage would be that of something which has ended. */
const SHOWS_PROGRESS: readonly Phase[] = ['Syncing', 'Verifying', 'CuttingOver'];
/** The agents' progress is written to the same object every few seconds. */
const MAXIMUM_ATTEMPTS = 10;

export const reportPhase =
  (deps: Deps): ClusterActivities['reportPhase'] =>
  async (report) => {
    const migrate = await write(deps, report);
    if (report.event) await tell(deps, migrate, report.event, `volume ${report.ref.volume}: ${messageOf(report)}`);
  };

async function write({ kube, now, scheduledAt }: Deps, report: PhaseReport): Promise<LocalVolumeMigrate> {
  const reportedAt = scheduledAt();
  const first = await readMigration(kube, report.ref);
  let found = first;
  for (let attempt = 1; ; attempt++) {
    assertAllowed(found, report, reportedAt);
    const { name, resourceVersion } = found.metadata;
    const patch = { metadata: { resourceVersion }, status: { ...statusOf(report, found.status ?? {}, now()), reportedAt } };
    try {
      return await kube.mergePatch(localVolumeMigrates, { name }, patch, { subresource: 'status' });
    } catch (error) {
      if (!isConflict(error) || attempt >= MAXIMUM_ATTEMPTS) throw error;
      found = await readMigration(kube, report.ref);
      const overtaken = found.status?.phase !== first.status?.phase && found.status?.phase !== report.phase;
      if (overtaken) throw new Error(`LocalVolumeMigrate ${name} was brought to ${found.status?.phase} by somebody else`, { cause: error });
    }
  }
}

function assertAllowed({ metadata, status }: LocalVolumeMigrate, { phase }: PhaseReport, reportedAt: number): void {
  const current = status?.phase;
  if (current !== undefined && isTerminal(current) && phase !== current) {
    throw permanent('StaleActivity', `LocalVolumeMigrate ${metadata.name} has ended (${current}) and cannot enter ${phase}`);
  }
  if (reportedAt < (status?.reportedAt ?? 0)) {
    throw permanent('StaleActivity', `LocalVolumeMigrate ${metadata.name} has had a later report than this one of ${phase}`);
  }
  if (status?.pointOfNoReturn && !FORWARD.includes(phase)) {
    throw permanent(
      'PointOfNoReturnPassed',
      `LocalVolumeMigrate ${metadata.name} is past the point of no return and cannot enter ${phase}`,
    );
  }
}

function statusOf(report: PhaseReport, before: LocalVolumeMigrateStatus, now: Date): MergePatch<LocalVolumeMigrateStatus> {
  const {
    phase,
    parkedIn,
    reason,
    event,
    target,
    pairing,
    sizeBytes,
    pool,
    source,
    pointOfNoReturn,
    proven,
    abortedByPerson,
    sourceSha256,
    targetSha256,
  } = report;
  const time = now.toISOString();
  return {
    phase,
    parkedIn: phase === 'NeedsAttention' ? (parkedIn ?? null) : null,
    state: stateOfPhase(phase, parkedIn),
    message: messageOf(report),
    reason: reason ?? event ?? null,
    ...(before.phaseTimes?.[phase] === undefined && { phaseTimes: { [phase]: time } }),
    ...(isTerminal(phase) && before.endTime === undefined && { endTime: time }),
    ...(before.progress && !SHOWS_PROGRESS.includes(phase) && { progress: null }),
    // A migration that looks for a target has none: the one it had was given up.
    ...(phase === 'Reserving' && { target: null, targetNode: null }),
    ...(target && { target, targetNode: target.node }),
    ...(source && { source }),
    ...(pool !== undefined && { pool }),
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(pairing !== undefined && { pairing }),
    ...(pointOfNoReturn && { pointOfNoReturn }),
    ...(proven !== undefined && { proven }),
    ...(abortedByPerson !== undefined && { abortedByPerson }),
    ...(sourceSha256 !== undefined && { sourceSha256 }),
    ...(targetSha256 !== undefined && { targetSha256 }),
  };
}

function messageOf({ message, refusals = {}, unfit = {} }: PhaseReport): string {
  const waits = Object.keys(refusals).length === 0 ? '' : `: ${listed(refusals)}`;
  return Object.keys(unfit).length === 0 ? `${message}${waits}` : `${message}${waits} (unfit: ${listed(unfit)})`;
}

function listed(refusals: Readonly<Record<string, Refusal>>): string {
  const reasons = Object.entries(refusals).map(([node, refusal]) => `${node} ${refusal}`);
  return reasons.sort().join(', ');
}

async function tell({ events, stores }: Deps, migrate: LocalVolumeMigrate, reason: EventReason, note: string): Promise<void> {
  const type = WARNINGS.includes(reason) ? 'Warning' : 'Normal';
  await Promise.all(concerned(stores, migrate, reason).map((object) => events.tell({ regarding: object, reason, note, type })));
}

/** Migration, LocalVolume, claim, source node, the pods that cannot be scheduled before the volume has moved, and those that it waits for. */
function concerned(stores: ClusterStores, migrate: LocalVolumeMigrate, reason: EventReason): readonly Regarding[] {
  const { volumeName, sourceNode } = migrate.spec;
  const localVolume = stores.localVolumes.get(volumeName);
  const claimName = claimOf(stores, volumeName);
  const claim = claimName && stores.persistentVolumeClaims.get(keyOf(claimName));
  const node = stores.nodes.get(keyOf({ name: sourceNode }));
  const pending = ({ spec }: PodView) => spec?.nodeName === undefined;
  const holding = ({ spec }: PodView) => reason === 'WaitingForDetach' && spec?.nodeName === sourceNode;
  const users = claimName ? podsOf(stores, claimName).filter((pod) => pending(pod) || holding(pod)) : [];
  return [
    regarding(localVolumeMigrates, migrate),
    ...(localVolume ? [regarding(localVolumes, localVolume)] : []),
    ...(claim ? [regarding(persistentVolumeClaims, claim)] : []),
    ...(node ? [regarding(nodes, node)] : []),
    ...users.map((pod) => regarding(pods, pod)),
  ];
}

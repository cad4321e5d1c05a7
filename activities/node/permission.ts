/**
 * What Temporal says is a request, what Kubernetes says is permission: before any step of a migration the agent itself reads the LocalVolumeMigrate,
 * live, and sees that it names this volume, this node in this role, this phase, and the very mirror that is asked for.
 */
import type { Mirror, MirrorEnd } from '../../core/contracts/migration.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import type { LocalVolumeMigrate, LocalVolumeMigrateStatus } from '../../core/contracts/objects/index.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';

export interface Requirement {
  readonly role: MirrorRole;
  readonly phases: readonly Phase[];
  /** Whether the point of no return must have been passed, or must not; undefined: either. */
  readonly pointOfNoReturn?: boolean;
}

/** For an end of a mirror: made in Preparing, and made again where it was lost, on the target also once the volume was closed and marked. */
export const MAKES_MIRROR = ['Preparing', 'Syncing', 'Verifying', 'CuttingOver'] as const satisfies readonly Phase[];
/** For the mirror of a proven copy, which is looked after while the volume's users are waited for. */
export const KEEPS_MIRROR = ['Syncing', 'Verifying', 'AwaitingDetach', 'CuttingOver'] as const satisfies readonly Phase[];

/** In these what was begun is taken back, whichever pairing it was of: the report of a new one may have been the step that failed. */
const TAKING_BACK: readonly Phase[] = ['Aborting', 'Aborted'];

/** @throws NotPermitted, saying what does not hold. */
export async function requirePermission(
  { findMigration, nodeName }: NodeDependencies,
  mirror: Mirror,
  requirement: Requirement,
): Promise<void> {
  const { name } = mirror.migration;
  const objection = objectionTo(await findMigration(name), nodeName, mirror, requirement);
  if (objection) throw failure('NotPermitted', `LocalVolumeMigrate ${name} ${objection}`);
}

/** The first thing in which the object does not allow the step, in words; undefined where it does. */
function objectionTo(
  object: LocalVolumeMigrate | undefined,
  nodeName: string,
  mirror: Mirror,
  { role, phases, pointOfNoReturn }: Requirement,
): string | undefined {
  const { migration } = mirror;
  if (!object) return 'does not exist';
  const { spec, status = {} } = object;
  if (object.metadata.uid !== migration.uid) return `is another one than asked for (uid ${object.metadata.uid})`;
  if (spec.volumeName !== migration.volume) return `moves volume ${spec.volumeName}, not ${migration.volume}`;
  const node = role === 'source' ? spec.sourceNode : status.target?.node;
  if (node !== nodeName) return `names ${node ?? 'nobody'} as its ${role}, not ${nodeName}`;
  if (!status.phase || !phases.includes(status.phase)) return `is in phase ${status.phase ?? 'none'}, not ${phases.join(' or ')}`;
  if (pointOfNoReturn === true && !status.pointOfNoReturn) return 'has not passed its point of no return';
  if (pointOfNoReturn === false && status.pointOfNoReturn) return 'has passed its point of no return';
  return differenceOf(status, mirror);
}

/** In what the mirror that is asked for is not the recorded one. */
function differenceOf(status: LocalVolumeMigrateStatus, mirror: Mirror): string | undefined {
  const { pool, sizeBytes, pairing } = mirror;
  const compared = [
    { what: 'pool', recorded: status.pool, asked: pool },
    { what: 'pairing', recorded: status.pairing, asked: pairing },
    { what: 'size', recorded: status.sizeBytes, asked: sizeBytes },
    { what: 'source', recorded: inWords(status.source), asked: inWords(mirror.source) },
    { what: 'target', recorded: inWords(status.target), asked: inWords(mirror.target) },
  ];
  const isTakenBack = status.phase !== undefined && TAKING_BACK.includes(status.phase);
  const bound = isTakenBack ? compared.filter(({ what, recorded }) => what === 'pool' && recorded !== undefined) : compared;
  const difference = bound.find(({ recorded, asked }) => recorded !== asked);
  return difference && `has ${difference.what} ${difference.recorded ?? 'none'}, not ${difference.asked}`;
}

const inWords = (end: MirrorEnd | undefined): string | undefined => end && `${end.node} (${end.storageAddress})`;

/**
 * What Temporal says is a request, what Kubernetes says is permission: before a step that makes, changes or destroys anything the agent itself reads
 * the LocalVolumeMigrate, live, and sees that it names this volume, this node in this role, and this phase.
 */
import type { Mirror } from '../../core/contracts/migration.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';

export interface Requirement {
  readonly role: MirrorRole;
  readonly phases: readonly Phase[];
  /** Whether the point of no return must have been passed, or must not; undefined: either. */
  readonly pointOfNoReturn?: boolean;
  /** For what makes or mends a mirror: the pairing must be the recorded one. A later one takes the mirror down that stands. */
  readonly pairing?: 'recorded';
}

/** For an end of a mirror: made in Preparing, and made again where it was lost, on the target also once the volume was closed and marked. */
export const MAKES_MIRROR = {
  phases: ['Preparing', 'Syncing', 'Verifying', 'CuttingOver'],
  pairing: 'recorded',
} as const satisfies Partial<Requirement>;

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
  { role, phases, pointOfNoReturn, pairing }: Requirement,
): string | undefined {
  const { migration } = mirror;
  if (!object) return 'does not exist';
  const { spec, status = {} } = object;
  if (object.metadata.uid !== migration.uid) return `is another one than asked for (uid ${object.metadata.uid})`;
  if (spec.volumeName !== migration.volume) return `moves volume ${spec.volumeName}, not ${migration.volume}`;
  const node = role === 'source' ? spec.sourceNode : status.target?.node;
  if (node !== nodeName) return `names ${node ?? 'nobody'} as its ${role}, not ${nodeName}`;
  if (!status.phase || !phases.includes(status.phase)) return `is in phase ${status.phase ?? 'none'}, not ${phases.join(' or ')}`;
  if (pairing && status.pairing !== mirror.pairing) return `is at pairing ${status.pairing ?? 'none'}, not ${mirror.pairing}`;
  if (pointOfNoReturn === true && !status.pointOfNoReturn) return 'has not passed its point of no return';
  if (pointOfNoReturn === false && status.pointOfNoReturn) return 'has passed its point of no return';
  return undefined;
}

/** What the activities of a node's agent are given: the node itself, its configuration, and the two things they know of the world outside. */
import type { NumberRange } from '../../core/contracts/configuration.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';
import type { Host } from '../../system/host.ts';
import type { Attempt } from './attempt.ts';

export interface NodeDependencies {
  readonly host: Host;
  readonly nodeName: string;
  /** All three for mirrors alone. */
  readonly minorRange: NumberRange;
  readonly portRange: NumberRange;
  readonly syncSettings: SyncSettings;
  /** Locks and fencing tokens. */
  readonly stateDirectory: string;
  /** The secret that all agents share; read anew for each pairing, so that it may be rotated. */
  readonly readClusterKey: () => Promise<Uint8Array>;
  /** The migration of this name, read live from the API server: what it says is the permission to destroy. */
  readonly findMigration: (name: string) => Promise<LocalVolumeMigrate | undefined>;
  /** The attempt of an activity that calls this. */
  readonly attempt: () => Attempt;
}

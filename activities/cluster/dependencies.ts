/** What the cluster activities stand on, given by the controller's entry point and by tests. */
import type { FaultPoint } from '../../core/contracts/configuration.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import type { EventRecorder } from '../../system/kube/events.ts';
import type { MigrationWorkflows } from './migration-workflows.ts';
import type { StayJudge } from './stay.ts';
import type { ClusterStores } from './stores.ts';
import type { SyncTurns } from './turns.ts';

export interface ClusterDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly events: Pick<EventRecorder, 'tell'>;
  readonly workflows: MigrationWorkflows;
  readonly turns: SyncTurns;
  readonly now: () => Date;
  /** When Temporal's server scheduled the attempt that calls this, in milliseconds of its clock: rises over attempts, runs and resets of a workflow. */
  readonly scheduledAt: () => number;
  /** Where the agents' Leases are. */
  readonly namespace: string;
  readonly whyStays: StayJudge;
  /** From a node's cordon to the first of its migrations. */
  readonly evictionDelaySeconds: number;
  /** Source and target are hashed whole before a PersistentVolume is changed. */
  readonly hashCheck: boolean;
  readonly logger: { warn(fields: object, message: string): void };
  /** Lets a test end the process within `switchObjects`: steps are named `switchObjects.<step>`. */
  readonly reachFaultPoint: (moment: FaultPoint['moment'], step: string) => void;
}

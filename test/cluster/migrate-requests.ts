/** A cluster in which somebody makes LocalVolumeMigrates, with the triggers that take them up, and a Temporal server on which no worker runs. */
import { Client, Connection } from '@temporalio/client';
import { expect, vi } from 'vitest';
import { createMigrationWorkflows } from '../../activities/cluster/migration-workflows.ts';
import type { PhaseReport, VolumeFacts } from '../../core/contracts/cluster-activities.ts';
import type { MigrateVolumeInput, MirrorEnd } from '../../core/contracts/migration.ts';
import { CONTROLLER_TASK_QUEUE, workflowId } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import type { NewObject } from '../../system/kube/client.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import { pods } from '../../system/kube/resources.ts';
import { MigrateRequestTrigger } from '../../triggers/migrate-request.ts';
import { VolumeUsageTrigger } from '../../triggers/volume-usage.ts';
import { createWorkflowSignals } from '../../triggers/workflow-signals.ts';
import { MigrationWorld } from './migration-world.ts';
import { eventsOf, signalsOf } from './started-workflows.ts';
import type { VolumeOptions } from './volume-manifests.ts';

export const soon = { timeout: 10_000, interval: 20 };

type Spec = Partial<LocalVolumeMigrate['spec']> & Pick<LocalVolumeMigrate['spec'], 'volumeName'>;

export class MigrateRequests {
  readonly world: MigrationWorld;
  readonly temporal: Client;
  readonly n1: MirrorEnd;
  readonly n2: MirrorEnd;
  /** What the triggers warned of. */
  readonly problems: unknown[] = [];
  readonly #connection: Connection;
  #triggers: readonly { start(): void; stop(): Promise<void> }[] = [];
  #serial = 0;

  private constructor(world: MigrationWorld, connection: Connection, n1: MirrorEnd, n2: MirrorEnd) {
    this.world = world;
    this.temporal = new Client({ connection });
    this.n1 = n1;
    this.n2 = n2;
    this.#connection = connection;
  }

  static async start(): Promise<MigrateRequests> {
    const world = await MigrationWorld.start();
    const connection = await Connection.connect({ address: world.cluster.controlPlane.temporalAddress });
    const [n1, n2] = [await world.addNode('n1', '10.77.0.1'), await world.addNode('n2', '10.77.0.2')];
    return new MigrateRequests(world, connection, n1, n2);
  }

  async stop(): Promise<void> {
    await this.#connection.close();
    await this.world.stop();
  }

  startTriggers(stores = this.world.watchers.stores): void {
    const { watchers, dependencies, activities } = this.world;
    const { kube, now, whyStays } = dependencies;
    const logger = { info: () => undefined, warn: (fields: object, message: string) => void this.problems.push({ ...fields, message }) };
    const workflows = createMigrationWorkflows(this.temporal, CONTROLLER_TASK_QUEUE);
    const signals = createWorkflowSignals(this.temporal, CONTROLLER_TASK_QUEUE);
    const { findMigration } = activities;
    const prepareTemporal = async () => undefined;
    this.#triggers = [
      new MigrateRequestTrigger({ kube, stores, changes: watchers, workflows, whyStays, prepareTemporal, now, logger }),
      new VolumeUsageTrigger({
        stores,
        changes: watchers,
        signals,
        workflows,
        prepareTemporal,
        findMigration,
        logger: { ...logger, warn: () => undefined },
      }),
    ];
    for (const trigger of this.#triggers) trigger.start();
  }

  async stopTriggers(): Promise<void> {
    await Promise.all(this.#triggers.map((trigger) => trigger.stop()));
    this.#triggers = [];
  }

  /** Nothing is left of a test but its volumes. */
  async clear(): Promise<void> {
    await this.stopTriggers();
    await this.world.clear('localVolumeMigrates', localVolumeMigrates);
    await this.world.clear('pods', pods);
  }

  /** A volume of its own for each test. */
  async addVolume(end = this.n1, options: VolumeOptions = {}): Promise<string> {
    const volume = `data-${++this.#serial}`;
    await this.world.addVolume(volume, end, options);
    return volume;
  }

  /** As somebody would, with kubectl. */
  ask(name: string, spec: Spec, annotations: Readonly<Record<string, string>> = {}): Promise<LocalVolumeMigrate> {
    const object = { metadata: { name, annotations }, spec: { sourceNode: 'n1', ...spec } };
    return this.world.client.create(localVolumeMigrates, object as NewObject<LocalVolumeMigrate>);
  }

  read(name: string): Promise<LocalVolumeMigrate> {
    return this.world.client.get(localVolumeMigrates, { name });
  }

  write(name: string, spec: Partial<LocalVolumeMigrate['spec']>): Promise<LocalVolumeMigrate> {
    return this.world.client.mergePatch(localVolumeMigrates, { name }, { spec });
  }

  async isInState(name: string, status: object): Promise<void> {
    await vi.waitFor(async () => expect((await this.read(name)).status).toMatchObject(status), soon);
  }

  /** What the volume's workflow was started with. undefined: there is none. */
  async startedWith(volume: string): Promise<MigrateVolumeInput | undefined> {
    const events = await eventsOf(this.temporal, workflowId.migrateVolume(volume));
    const payload = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
    return payload ? (JSON.parse(Buffer.from(payload).toString('utf8')) as MigrateVolumeInput) : undefined;
  }

  isStarted(volume: string): Promise<MigrateVolumeInput> {
    return vi.waitFor(async () => {
      const input = await this.startedWith(volume);
      expect(input).toBeDefined();
      return input!;
    }, soon);
  }

  /** Names of the signals that the volume's workflow has got. */
  async signalsOf(volume: string): Promise<readonly string[]> {
    return (await signalsOf(this.temporal, workflowId.migrateVolume(volume))) ?? [];
  }

  /** Lets triggers end what they do about a volume whose migration was begun. @returns its workflow's signals, to which only new changes add. */
  async settle(volume: string): Promise<readonly string[]> {
    await this.stopTriggers();
    const settled = [...(await this.signalsOf(volume)), 'lookAgain'];
    // Their first look tells every migration that is open.
    this.startTriggers();
    await vi.waitFor(async () => expect(await this.signalsOf(volume)).toEqual(settled), soon);
    return settled;
  }

  /** What the run of a migration that was begun sees. */
  async observe(name: string): Promise<VolumeFacts> {
    const { metadata, spec } = await this.read(name);
    const { volumeName: volume, sourceNode } = spec;
    const ref = { name, uid: metadata.uid, volume };
    return this.world.activities.observeVolume({ volume, sourceNode, trigger: 'migrate-request', ref });
  }

  /** What it reports. */
  async report(name: string, report: Omit<PhaseReport, 'ref'>): Promise<void> {
    const { metadata, spec } = await this.read(name);
    await this.world.activities.reportPhase({ ref: { name, uid: metadata.uid, volume: spec.volumeName }, ...report });
    await this.world.seen('localVolumeMigrates', await this.read(name));
  }

  /** Does what the run would do that was started. @returns the record's name. */
  async begin(volume: string): Promise<string> {
    const record = await this.world.activities.openMigration(await this.isStarted(volume));
    await this.world.seen('localVolumeMigrates', await this.read(record.ref.name));
    return record.ref.name;
  }
}

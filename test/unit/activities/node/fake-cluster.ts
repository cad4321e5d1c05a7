/** Two nodes with an agent each, a migration between them, and agents that can be made to die at any command. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNodeActivities, type NodeDependencies } from '../../../../activities/node/index.ts';
import type { Mirror } from '../../../../core/contracts/migration.ts';
import type { NodeActivities } from '../../../../core/contracts/node-activities.ts';
import type { LocalVolumeMigrate } from '../../../../core/contracts/objects/index.ts';
import type { Phase } from '../../../../core/contracts/phases.ts';
import { DEFAULT_SYNC_SETTINGS } from '../../../../core/contracts/sync-settings.ts';
import { tickDrbd } from './fake-drbd.ts';
import { Crash, type CrashPoint, FakeNode } from './fake-node.ts';

export const MiB = 2 ** 20;

export class FakeCluster {
  readonly nodes: FakeNode[] = [];
  readonly n1 = new FakeNode('n1', this.nodes);
  readonly n2 = new FakeNode('n2', this.nodes);
  readonly stateDirectory = mkdtempSync(join(tmpdir(), 'agents-'));
  /** Of every command that changes something, in order. */
  readonly commands: string[] = [];
  crashAt: CrashPoint | undefined;
  scheduledAt = 1;
  migration: LocalVolumeMigrate;

  constructor(readonlyMirror: Mirror) {
    const { migration, ...shape } = readonlyMirror;
    const { name, uid, volume } = migration;
    this.migration = {
      apiVersion: 'hwameistor.io/v1alpha1',
      kind: 'LocalVolumeMigrate',
      metadata: { name, uid, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { volumeName: volume, sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: true, abort: false },
      status: { phase: 'Preparing', ...shape },
    };
    this.n1.addVolume(volume, readonlyMirror.sizeBytes, 'precious');
  }

  /** The agent of a node, as it is after its start. */
  agent(node: FakeNode): NodeActivities {
    return createNodeActivities(this.dependencies(node));
  }

  dependencies(node: FakeNode): NodeDependencies {
    let dead = false;
    const crash = () => {
      dead = true;
      this.crashAt = undefined;
      throw new Crash();
    };
    const host = node.host((commandLine, act) => {
      if (dead) throw new Crash();
      const { command, moment } = this.crashAt ?? {};
      const isCrash = command === this.commands.length;
      this.commands.push(`${node.name}: ${commandLine}`);
      try {
        return act(isCrash && moment === 'amidst' ? 'half' : 'all');
      } finally {
        if (isCrash) crash();
      }
    });
    return {
      host,
      nodeName: node.name,
      minorRange: { first: 100, last: 101 },
      portRange: { first: 7000, last: 7001 },
      syncSettings: DEFAULT_SYNC_SETTINGS,
      stateDirectory: join(this.stateDirectory, node.name),
      readClusterKey: async () => Buffer.from('key of all agents'),
      findMigration: async (name) => (name === this.migration.metadata.name ? this.migration : undefined),
      attempt: () => ({
        scheduledAt: this.scheduledAt,
        heartbeat: () => undefined,
        keepAlive: () => undefined,
        sleep: async () => {
          if (dead) throw new Crash();
          tickDrbd(this.nodes);
        },
      }),
    };
  }

  /** What the controller writes before a mirror is made. */
  prepare({ pool, sizeBytes, source, target, pairing }: Mirror): void {
    this.migration = { ...this.migration, status: { ...this.migration.status, pool, sizeBytes, source, target, pairing } };
    this.enter('Preparing');
  }

  /** What the controller writes before it asks for the steps of a phase. */
  enter(phase: Phase, pointOfNoReturn = false): void {
    this.migration = { ...this.migration, status: { ...this.migration.status, phase, pointOfNoReturn } };
  }

  /** Asks again, of an agent that was started anew, until there is an answer: what Temporal does. */
  async insist<T>(node: FakeNode, step: (agent: NodeActivities) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        this.scheduledAt += 1;
        return await step(this.agent(node));
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
    }
  }

  snapshot(): unknown {
    return this.nodes.map((node) => ({ node: node.snapshot(), metadataFiles: this.metadataFiles(node) }));
  }

  /** Where the volume group had no room for DRBD's metadata. */
  metadataFiles(node: FakeNode): string[] {
    const directory = join(this.stateDirectory, node.name, 'metadata');
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  dispose(): void {
    rmSync(this.stateDirectory, { recursive: true });
  }
}

export const mirror: Mirror = {
  migration: { name: 'evictor-data', uid: '8d6f2a1e-5b1c-4c3e-9a57-0f2b6f0c1d2e', volume: 'data' },
  pool: 'LocalStorage_PoolHDD',
  sizeBytes: 64 * MiB,
  source: { node: 'n1', storageAddress: '10.77.0.1' },
  target: { node: 'n2', storageAddress: '10.77.0.2' },
  pairing: 1,
};

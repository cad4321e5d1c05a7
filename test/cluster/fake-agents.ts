/** Agents whose nodes are only in memory: they answer as the contract says, keep a world of logical volumes and mirrors, and take their time. */
import { Context } from '@temporalio/activity';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { MirrorEndpoint } from '../../core/contracts/migration.ts';
import { controlTaskQueue, syncTaskQueue } from '../../core/contracts/names.ts';
import type { DetachFacts, NodeActivities, NodeVolumeFacts } from '../../core/contracts/node-activities.ts';
import { livenessInterceptor } from '../../worker/liveness-interceptor.ts';

interface FakeVolume {
  migrationUid?: string;
  cutOverBy?: string;
  readKib: number;
  mirror?: NonNullable<NodeVolumeFacts['mirror']>;
}

const NO_WRITES = { writtenSectors: 0, discardedSectors: 0 };
const CLOSED: DetachFacts = {
  inserted: true,
  open: false,
  connectedUpToDate: true,
  outOfSyncBytes: 0,
  volume: NO_WRITES,
  mirror: NO_WRITES,
  base: { volume: NO_WRITES, mirror: NO_WRITES },
};

export interface FakeAgentsOptions {
  readonly address: string;
  readonly nodes: readonly string[];
  readonly sizeBytes: number;
  /** Called by every wait for a sync; the wait lasts until it resolves. */
  readonly synced: (volume: string) => Promise<void>;
}

export class FakeAgents {
  readonly #connection: NativeConnection;
  readonly #workers: readonly Worker[];
  readonly #running: Promise<unknown>;

  private constructor(connection: NativeConnection, workers: readonly Worker[]) {
    this.#connection = connection;
    this.#workers = workers;
    this.#running = Promise.all(workers.map((worker) => worker.run()));
  }

  /** @param volumes lie on the first of the nodes. */
  static async start(options: FakeAgentsOptions, volumes: readonly string[]): Promise<FakeAgents> {
    const connection = await NativeConnection.connect({ address: options.address });
    const nodes = new Map(options.nodes.map((node) => [node, new Map<string, FakeVolume>()]));
    for (const volume of volumes) nodes.get(options.nodes[0]!)!.set(volume, { readKib: 0 });
    const create = (node: string, taskQueue: string) =>
      Worker.create({
        connection,
        taskQueue,
        activities: activitiesOf(node, nodes, options),
        interceptors: { activity: [livenessInterceptor()] },
        maxConcurrentActivityTaskPolls: 2,
      });
    const workers = await Promise.all(
      options.nodes.flatMap((node) => [create(node, controlTaskQueue(node)), create(node, syncTaskQueue(node))]),
    );
    return new FakeAgents(connection, workers);
  }

  async stop(): Promise<void> {
    for (const worker of this.#workers) worker.shutdown();
    await this.#running;
    await this.#connection.close();
  }
}

function activitiesOf(
  node: string,
  nodes: ReadonlyMap<string, Map<string, FakeVolume>>,
  { sizeBytes, synced }: FakeAgentsOptions,
): NodeActivities {
  const here = nodes.get(node)!;
  const endpoint: MirrorEndpoint = { port: 20_000, minor: 20_000, logicalBlockSizeBytes: 512 };
  const of = (volume: string): FakeVolume => {
    const found = here.get(volume) ?? { readKib: 0 };
    here.set(volume, found);
    return found;
  };
  const forget = async (volume: string): Promise<void> => void here.delete(volume);
  const standing = (volume: string) => ({ ...of(volume) });
  return {
    observeVolume: async ({ volume }) => {
      if (!here.has(volume)) return { volumeGroupFound: true };
      const { migrationUid, cutOverBy, mirror } = standing(volume);
      const shape = { sizeBytes, segmentTypes: ['linear'], hasSnapshots: false, active: true, open: false, logicalBlockSizeBytes: 512 };
      const logicalVolume = { ...shape, ...(migrationUid && { migrationUid }), ...(cutOverBy && { cutOverBy }) };
      return { volumeGroupFound: true, logicalVolume, ...(mirror && { mirror }) };
    },
    allocateEndpoint: async () => endpoint,
    ensureTargetMirror: async ({ mirror: { migration, pairing } }) => {
      const mirror = { migrationUid: migration.uid, pairing, attached: true, inserted: false };
      Object.assign(of(migration.volume), { migrationUid: migration.uid, mirror });
      return {};
    },
    ensureSourceMirror: async ({ mirror: { migration, pairing } }) => {
      of(migration.volume).mirror = { migrationUid: migration.uid, pairing, attached: true, inserted: true };
      return { base: CLOSED.base };
    },
    awaitSync: async ({ mirror: { migration, sizeBytes: totalBytes } }) => {
      const context = Context.current();
      const beat = setInterval(
        () => context.heartbeat({ totalBytes, syncedBytes: 0, outOfSyncBytes: totalBytes, bytesPerSecond: 0 }),
        1000,
      );
      try {
        await Promise.race([synced(migration.volume), context.cancelled]);
      } finally {
        clearInterval(beat);
      }
      return { kind: 'synced', progress: { totalBytes, syncedBytes: totalBytes, outOfSyncBytes: 0, bytesPerSecond: 0 } };
    },
    readTargetCounter: async ({ mirror }) => ({ readKib: of(mirror.migration.volume).readKib }),
    verifyMirror: async ({ mirror }) => {
      nodes.get(mirror.target.node)!.get(mirror.migration.volume)!.readKib += mirror.sizeBytes / 1024;
      return { completed: true, outOfSyncBytes: 0, healthy: true };
    },
    repairMirror: async () => undefined,
    closeSource: async () => CLOSED,
    markCutOver: async ({ mirror }) => {
      of(mirror.migration.volume).cutOverBy = mirror.migration.uid;
    },
    hashVolume: async () => ({ sha256: '0'.repeat(64) }),
    dissolveMirror: async ({ mirror }) => {
      delete of(mirror.migration.volume).mirror;
    },
    removeSource: ({ mirror }) => forget(mirror.migration.volume),
    releaseTarget: async ({ mirror }) => {
      const volume = of(mirror.migration.volume);
      delete volume.migrationUid;
      delete volume.cutOverBy;
    },
    restoreSource: async ({ mirror }) => {
      delete of(mirror.migration.volume).mirror;
    },
    discardTarget: ({ mirror }) => forget(mirror.migration.volume),
  };
}

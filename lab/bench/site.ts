/** Where it is measured: a lab of two nodes, whose volumes move from the first to the second as people move them, by a cordon. */
import { run } from '../command.ts';
import type { Lab } from '../index.ts';
import type { Machine } from '../machines/index.ts';
import { POOL } from '../volume/objects.ts';
import { HopelessError, waitFor } from '../wait.ts';

/** One to move from, one to move to: which it is does not depend on the run. */
export const NODES = 2;
const SOURCE = 'n1';
const TARGET = 'n2';

const NODE = `/api/v1/nodes/${SOURCE}`;
const MIGRATIONS = '/apis/hwameistor.io/v1alpha1/localvolumemigrates';

interface Migration {
  readonly metadata: { readonly creationTimestamp: string };
  readonly spec: { readonly volumeName: string };
  readonly status?: { readonly phase?: string; readonly message?: string; readonly proven?: boolean };
}

export class Site {
  readonly lab: Lab;
  readonly source: Machine;
  readonly target: Machine;

  constructor(lab: Lab) {
    this.lab = lab;
    this.source = lab.machine(SOURCE);
    this.target = lab.machine(TARGET);
  }

  /** A raw volume on the source that nobody uses, random data in all of its blocks. */
  async createFilledVolume(name: string, bytes: number): Promise<void> {
    await this.lab.createVolume({ name, node: SOURCE, size: String(bytes), fileSystem: 'block' });
    const fill = `dd if=/dev/urandom of=${devicePath(name)} bs=1M count=${bytes} iflag=count_bytes,fullblock oflag=direct 2>/dev/null`;
    await this.source.exec(fill, { timeoutSeconds: 60 + bytes / 2 ** 20 });
  }

  /** @returns milliseconds since the epoch, the moment before the API server was asked. */
  cordon(): Promise<number> {
    return this.lab.withAdministrator(async (client) => {
      // Not the cordon's: the connection is made before the clock runs.
      await client.get(NODE);
      const askedAt = Date.now();
      await client.patch(NODE, { spec: { unschedulable: true } });
      return askedAt;
    });
  }

  /** Returns when the volume's migration has completed. @throws where it has ended or stands still in another way. */
  awaitMoved(volume: string): Promise<void> {
    return this.#awaitMigration(volume, 'has moved', ({ phase }) => phase === 'Completed');
  }

  /** Returns when the volume, which a pod uses, has a proven copy. @throws as above. */
  awaitProven(volume: string): Promise<void> {
    return this.#awaitMigration(volume, 'has a proven copy', ({ phase, proven }) => phase === 'AwaitingDetach' && proven === true);
  }

  /** The volume may be copied beneath its pods. */
  async allowOnline(volume: string): Promise<void> {
    await this.lab.kubectl(['annotate', 'localvolume', volume, 'rehome.io/online=true']);
  }

  async #awaitMigration(volume: string, what: string, isReached: (status: NonNullable<Migration['status']>) => boolean): Promise<void> {
    await this.lab.withAdministrator((client) =>
      waitFor(
        `volume ${volume} ${what}`,
        async () => {
          const { items } = await client.get<{ items: Migration[] }>(MIGRATIONS);
          // Of several the newest: the others have ended.
          const [status = {}] = items
            .filter(({ spec }) => spec.volumeName === volume)
            .sort((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp))
            .map((migration) => migration.status ?? {});
          const { phase = '', message = '' } = status;
          if (phase === 'NeedsAttention') throw new HopelessError(`the migration of ${volume}: ${phase}, ${message}`);
          return isReached(status);
        },
        { timeoutSeconds: 600, intervalMs: 500 },
      ),
    );
  }

  /** Returns when nothing moves any more and the node's eviction has ended: the next cordon starts afresh. */
  async uncordon(): Promise<void> {
    await this.lab.withAdministrator(async (client) => {
      await client.patch(NODE, { spec: { unschedulable: null } });
      await waitFor(
        'no migration is under way',
        async () => {
          const { items } = await client.get<{ items: Migration[] }>(MIGRATIONS);
          return items.every(({ status }) => ['Completed', 'Aborted'].includes(status?.phase ?? ''));
        },
        { timeoutSeconds: 120, intervalMs: 500 },
      );
    });
    await waitFor('the eviction of the node has ended', async () => !/running/i.test(await this.#evictionStatus()), {
      timeoutSeconds: 120,
      intervalMs: 1000,
    });
  }

  /** When the newest run of a workflow started, in milliseconds since the epoch, by Temporal's clock, which is this host's. */
  async workflowStartedAt(workflowId: string): Promise<number> {
    const { stdout } = await this.lab.temporal(['workflow', 'show', '-w', workflowId, '-o', 'json']);
    const { events } = JSON.parse(stdout) as { events: { eventTime: string }[] };
    return Date.parse(events[0]!.eventTime);
  }

  /** Whatever was written before the measuring is on disks: the nodes' of this host, and the nodes' own. Their caches are empty. */
  async settle(): Promise<void> {
    await Promise.all([this.source, this.target].map((machine) => machine.exec('sync; echo 3 > /proc/sys/vm/drop_caches')));
    await run('sync', [], { timeoutSeconds: 300 });
  }

  get evictionWorkflow(): string {
    return `evict-node-${SOURCE}`;
  }

  async #evictionStatus(): Promise<string> {
    const { stdout } = await this.lab.temporal(['workflow', 'describe', '-w', this.evictionWorkflow, '-o', 'json']);
    return (JSON.parse(stdout) as { workflowExecutionInfo: { status: string } }).workflowExecutionInfo.status;
  }
}

export function devicePath(volume: string): string {
  return `/dev/${POOL}/${volume}`;
}

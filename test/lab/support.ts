/** What the lab's tests share: waiting for conditions, and looking at nodes and objects with their own commands. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab } from '../../lab/index.ts';
import type { Machine } from '../../lab/machines/index.ts';

export const POOL = 'LocalStorage_PoolHDD';
export const THIN_POOL = 'LocalStorage_ThinPool';

/** Polls until the condition gives a value; every wait is bounded and says what it waited for, and what it saw last. */
export async function eventually<T>(what: string, seconds: number, look: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let failure: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`, { cause: failure });
    await sleep(250);
  }
}

export interface MigrateObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly creationTimestamp: string };
  readonly spec: { readonly volumeName: string; readonly sourceNode: string };
  readonly status?: {
    readonly state?: string;
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly targetNode?: string;
    readonly pairing?: number;
    readonly pointOfNoReturn?: boolean;
    readonly sourceSha256?: string;
    readonly targetSha256?: string;
    readonly progress?: { readonly percent: number; readonly syncedBytes: number };
    readonly phaseTimes?: Readonly<Record<string, string>>;
  };
}

export class Cluster {
  readonly lab = Lab.open();

  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse((await this.lab.kubectl(['get', ...args, '-o', 'json'])).stdout) as T;
  }

  async list<T>(...args: string[]): Promise<T[]> {
    return (await this.get<{ items: T[] }>(...args)).items;
  }

  /** All migrations of the volume, the oldest first. */
  async migrations(volume: string): Promise<MigrateObject[]> {
    const all = await this.list<MigrateObject>('localvolumemigrates');
    return all
      .filter(({ spec }) => spec.volumeName === volume)
      .sort((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
  }

  /** The newest migration of the volume. */
  async migration(volume: string): Promise<MigrateObject | undefined> {
    return (await this.migrations(volume)).at(-1);
  }

  /** By default long enough for a busy machine. */
  async reaches(volume: string, phases: string | readonly string[], seconds = 180): Promise<MigrateObject> {
    const wanted = [phases].flat();
    let last: MigrateObject | undefined;
    try {
      return await eventually(`the migration of ${volume} in phase ${wanted.join(' or ')}`, seconds, async () => {
        last = await this.migration(volume);
        return last && wanted.includes(last.status?.phase ?? '') && last;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; it says ${JSON.stringify(last?.status)}`, { cause: error });
    }
  }

  /** Something of the volume has been copied. @returns the target. */
  async syncUnderWay(volume: string): Promise<string> {
    return eventually(`a sync of ${volume} under way`, 180, async () => {
      const status = (await this.migration(volume))?.status;
      return status?.phase === 'Syncing' && (status.progress?.syncedBytes ?? 0) > 0 && status.targetNode;
    });
  }

  /** The node that holds the volume's only replica. */
  async nodeOf(volume: string): Promise<string> {
    const replicas = await this.list<{ spec: { volumeName: string; nodeName: string } }>('localvolumereplicas');
    const nodes = replicas.filter(({ spec }) => spec.volumeName === volume).map(({ spec }) => spec.nodeName);
    if (nodes.length !== 1) throw new Error(`volume ${volume} has replicas on ${nodes.join(', ') || 'no node'}`);
    return nodes[0]!;
  }

  /** A volume without a pod, filled with what no other has. @returns the sha256 of its whole device. */
  async filledVolume(name: string, node: string, size = '32Mi'): Promise<string> {
    await this.lab.createVolume({ name, node, size, fileSystem: 'block' });
    const machine = this.lab.machine(node);
    const device = `/dev/${POOL}/${name}`;
    await machine.exec(
      `dd if=/dev/urandom of=${device} bs=1M count=$(( $(blockdev --getsize64 ${device}) / 1048576 )) conv=fsync 2>/dev/null`,
      {
        timeoutSeconds: 120,
      },
    );
    return this.sha256(name, node);
  }

  async sha256(volume: string, node: string): Promise<string> {
    const { stdout } = await this.lab.machine(node).exec(`sha256sum < /dev/${POOL}/${volume}`, { timeoutSeconds: 120 });
    return stdout.split(' ')[0]!;
  }

  async cordon(node: string): Promise<void> {
    await this.lab.kubectl(['cordon', node]);
  }

  async uncordon(node: string): Promise<void> {
    await this.lab.kubectl(['uncordon', node]);
  }

  /** @param environment of this time, beside what it has in the lab. */
  async restartController(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.lab.kill('controller');
    await this.lab.start('controller', { environment });
  }

  /** As a person waits before they switch a node off. */
  async waitUntilEvacuated(node: string, seconds = 120): Promise<void> {
    const wait = ['wait', `localstoragenode/${node}`, '--for=condition=Evacuated', `--timeout=${seconds}s`];
    await this.lab.kubectl(wait, { timeoutSeconds: seconds + 10 });
  }

  async evacuated(node: string): Promise<{ status: string; reason: string; message: string } | undefined> {
    const { status } = await this.get<{ status?: { conditions?: { type: string; status: string; reason: string; message: string }[] } }>(
      'localstoragenode',
      node,
    );
    return status?.conditions?.find(({ type }) => type === 'Evacuated');
  }

  /** All nodes up, schedulable and without labels of ours; no migration under way; no volumes: what a test may expect. */
  async reset(): Promise<void> {
    const nodes = this.lab.machines.map(({ name }) => name);
    for (const machine of this.lab.machines) {
      machine.thaw();
      if (!machine.isRunning()) await this.lab.start(machine.name);
      await machine.heal();
      await machine.rate('off');
    }
    // One that a test has killed and not lived to start again.
    await this.lab.start('controller');
    // Their pods first: a controller that has not seen its own end yet makes one more.
    await this.lab.kubectl(['delete', 'statefulset,deployment', '--all', '--cascade=foreground', '--timeout=60s'], { timeoutSeconds: 70 });
    await this.lab.kubectl(['delete', 'pod', '--all', '--timeout=60s'], { timeoutSeconds: 70 });
    for (const node of nodes) {
      await this.lab.kubectl(['label', 'node', node, 'hwameistor.io/eviction-']);
      await this.lab.kubectl(['annotate', 'node', node, 'rehome.io/online-']);
      await this.uncordon(node);
    }
    await eventually('no migration under way', 120, async () => {
      const open = (await this.list<MigrateObject>('localvolumemigrates')).filter(
        ({ status }) => !['Completed', 'Aborted'].includes(status?.phase ?? ''),
      );
      return open.length === 0;
    });
    for (const { metadata } of await this.list<{ metadata: { name: string } }>('localvolumes')) await this.lab.deleteVolume(metadata.name);
    // One that was aborted goes when its target's agent has taken its share away, which may have to boot first.
    await this.lab.kubectl(['delete', 'localvolumemigrates', '--all', '--wait', '--timeout=120s']);
    await eventually('agents that report empty pools', 30, async () => {
      const storageNodes = await this.list<{ status?: { pools?: Record<string, { volumes?: string[] }> } }>('localstoragenodes');
      return storageNodes.every(({ status }) => Object.values(status?.pools ?? {}).every(({ volumes }) => (volumes ?? []).length === 0));
    });
  }
}

/** Everything of a node's storage that a move touches, as its own commands print it. */
export async function nodeStorage(machine: Machine): Promise<string[]> {
  const results = await Promise.all([
    machine.exec(['lvs', '--noheadings', '--separator', '|', '-o', 'lv_name,lv_uuid,lv_size,lv_attr,lv_tags', '--units', 'b', POOL]),
    machine.exec("dmsetup table | grep -v '^No devices found' | sort"),
    machine.exec("drbdsetup events2 --now | sed '/^exists -$/d'"),
  ]);
  return results.flatMap(({ stdout }) =>
    stdout
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean),
  );
}

interface ObjectWithState {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
  };
  readonly spec: unknown;
  readonly status?: object;
}

/** Objects that a move changes, without what changes by itself. */
async function objectState(cluster: Cluster): Promise<unknown> {
  const kinds = ['localvolumes', 'localvolumereplicas', 'persistentvolumes', 'persistentvolumeclaims'];
  const lists = await Promise.all(kinds.map((kind) => cluster.list<ObjectWithState>(kind)));
  const storageNodes = await cluster.list<{ metadata: { name: string; annotations?: Record<string, string> } }>('localstoragenodes');
  return {
    objects: lists.flat().map(({ metadata, spec, status }) => {
      const { name, uid, labels = {}, annotations = {}, finalizers = [] } = metadata;
      // Whoever looked at the device a moment ago is in the agent's last report.
      return { name, uid, labels, annotations, finalizers, spec, status: { ...status, inuse: undefined } };
    }),
    annotations: storageNodes.map(({ metadata }) => ({ name: metadata.name, annotations: metadata.annotations ?? {} })),
  };
}

/** All that a move may change, on every node and in the objects. */
export async function everything(cluster: Cluster): Promise<unknown> {
  return { storage: await Promise.all(cluster.lab.machines.map(nodeStorage)), objects: await objectState(cluster) };
}

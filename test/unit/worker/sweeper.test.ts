import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';
import type { KubeClient, WatchEvent, WatchOptions } from '../../../system/kube/client.ts';
import type { EventToTell } from '../../../system/kube/events.ts';
import { Sweeper } from '../../../worker/agent/sweeper.ts';
import { type FakeCluster, mirror } from '../activities/node/fake-cluster.ts';
import { copy, newCluster } from '../activities/node/scenario.ts';

/** An API server with LocalVolumeMigrates, a watch of those that are Aborted, and a node. */
class FakeApi {
  readonly aborted: LocalVolumeMigrate[] = [];
  others: LocalVolumeMigrate[] = [];
  readonly told: EventToTell[] = [];
  readonly selectors: unknown[] = [];
  isAway = false;
  #tell: (event: WatchEvent<LocalVolumeMigrate>) => void = () => undefined;

  readonly client = {
    get: async (_: unknown, { name }: { name: string }) => ({ metadata: { name, uid: `uid of ${name}` } }),
    list: async () => [...this.aborted, ...this.others],
    pages: async function* (this: FakeApi, _: unknown, { fieldSelector }: { fieldSelector?: string }) {
      this.selectors.push(fieldSelector);
      if (this.isAway) throw new Error('nobody answers');
      yield { items: [...this.aborted], resourceVersion: '1' };
    }.bind(this),
    watch: async function* (this: FakeApi, _: unknown, { signal }: WatchOptions) {
      for (;;) {
        const event = await new Promise<WatchEvent<LocalVolumeMigrate>>((resolve, reject) => {
          this.#tell = resolve;
          signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
        });
        yield event;
      }
    }.bind(this),
  } as unknown as KubeClient;

  add(object: LocalVolumeMigrate): void {
    this.aborted.push(object);
    this.#tell({ type: 'ADDED', object });
  }
}

const sweepers: Sweeper[] = [];
afterEach(async () => {
  await Promise.all(sweepers.splice(0).map((sweeper) => sweeper.stop()));
});

interface SweeperChange {
  readonly lines?: string[];
  readonly onCommand?: (program: string) => void;
  readonly intervalSeconds?: number;
}

function sweeperOn(cluster: FakeCluster, api: FakeApi, { lines = [], onCommand, intervalSeconds = 600 }: SweeperChange = {}): Sweeper {
  const { attempt: _, host, ...rest } = cluster.dependencies(cluster.n2);
  const run: typeof host.run = (program, ...given) => {
    onCommand?.(program);
    return host.run(program, ...given);
  };
  const dependencies = { ...rest, host: { ...host, run } };
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const events = { tell: async (event: EventToTell) => void api.told.push(event) };
  const sweeper = new Sweeper({ client: api.client, dependencies, events, logger, retrySeconds: 0.05, intervalSeconds });
  sweepers.push(sweeper);
  return sweeper;
}

/** The target's share of an aborted migration is left. */
async function abortedWithoutTarget(): Promise<FakeCluster> {
  const cluster = newCluster();
  await copy(cluster);
  cluster.enter('Aborting');
  await cluster.agent(cluster.n1).restoreSource({ mirror });
  cluster.enter('Aborted');
  return cluster;
}

const NOTHING = { volumes: [], devices: [], resources: [] };
/** A busy machine is slow. */
const WITHIN = { timeout: 4000 };

describe('an agent removes what aborted migrations have left on its node', () => {
  test('when it starts, before it goes on', async () => {
    const cluster = await abortedWithoutTarget();
    const api = new FakeApi();
    api.aborted.push(cluster.migration);
    await sweeperOn(cluster, api).start();
    expect(cluster.n2.snapshot()).toEqual(NOTHING);
    expect(api.selectors).toEqual(['status.phase=Aborted']);
  });

  test('at once when one is aborted while it runs', async () => {
    const cluster = await abortedWithoutTarget();
    const api = new FakeApi();
    await sweeperOn(cluster, api).start();
    expect(cluster.n2.snapshot()).not.toEqual(NOTHING);
    api.add(cluster.migration);
    await expect.poll(() => cluster.n2.snapshot(), WITHIN).toEqual(NOTHING);
  });

  test('later, where a program fails', async () => {
    const cluster = await abortedWithoutTarget();
    const api = new FakeApi();
    api.aborted.push(cluster.migration);
    // Somebody looks at it.
    const device = cluster.n2.devices.get('LocalStorage_PoolHDD-data')!;
    device.open += 1;
    const lines: string[] = [];
    await sweeperOn(cluster, api, { lines }).start();
    expect(lines).toEqual(['what a migration has left here could not be removed, tried again']);
    expect(api.told).toEqual([]);
    device.open -= 1;
    await expect.poll(() => cluster.n2.snapshot(), WITHIN).toEqual(NOTHING);
  });

  test('but what only a person can judge is said once', async () => {
    const cluster = await abortedWithoutTarget();
    const api = new FakeApi();
    const { pool: _, ...status } = cluster.migration.status!;
    cluster.migration = { ...cluster.migration, status };
    api.aborted.push(cluster.migration);
    const lines: string[] = [];
    let looks = 0;
    const onCommand = (program: string) => {
      looks += program === 'lvs' ? 1 : 0;
    };
    await sweeperOn(cluster, api, { lines, onCommand }).start();
    for (const uid of ['another', 'a third one']) {
      const before = looks;
      api.add({ ...cluster.migration, metadata: { ...cluster.migration.metadata, name: uid, uid } });
      await expect.poll(() => looks, WITHIN).toBeGreaterThan(before);
    }
    expect(lines).toEqual(['what a migration has left here could not be removed']);
    expect(api.told).toEqual([
      {
        regarding: { apiVersion: 'v1', kind: 'Node', name: 'n2', uid: 'uid of n2' },
        reason: 'LeftOver',
        type: 'Warning',
        note: expect.stringContaining('what LocalVolumeMigrate evictor-data has left here could not be removed: '),
      },
    ]);
  });

  test('and an API server that is away holds up nothing for long', async () => {
    const cluster = await abortedWithoutTarget();
    const api = new FakeApi();
    api.isAway = true;
    api.aborted.push(cluster.migration);
    const sweeper = sweeperOn(cluster, api);
    const started = sweeper.start();
    await expect.poll(() => api.selectors.length, WITHIN).toBeGreaterThan(0);
    api.isAway = false;
    await started;
    expect(cluster.n2.snapshot()).toEqual(NOTHING);
  });
});

describe('what a migration has left, and nobody looks after,', () => {
  const VOLUMES = 'LocalStorage_PoolHDD/data, LocalStorage_PoolHDD/data_rehome_metadata';

  test('is told once, on the node and in the log, and left as it is', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const before = cluster.snapshot();
    const api = new FakeApi();
    const lines: string[] = [];
    let looks = 0;
    const onCommand = (program: string) => {
      looks += program === 'lvs' ? 1 : 0;
    };
    await sweeperOn(cluster, api, { lines, onCommand, intervalSeconds: 0.02 }).start();
    await expect.poll(() => looks, WITHIN).toBeGreaterThan(5);
    expect(api.told).toMatchObject([{ regarding: { kind: 'Node', name: 'n2' }, reason: 'LeftOver', type: 'Warning' }]);
    expect(api.told[0]?.note).toContain(`${VOLUMES} carries the tag of migration ${mirror.migration.uid}`);
    expect(api.told[0]?.note).toContain('there is no such LocalVolumeMigrate any more');
    expect(lines).toEqual(['a migration has left something here that only a person can judge']);
    expect(cluster.snapshot()).toEqual(before);
  });

  test('is found without being told of, once its object was deleted; before that it is nobody’s business', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const api = new FakeApi();
    api.others = [cluster.migration];
    let lists = 0;
    const { list } = api.client;
    Object.assign(api.client, {
      list: async () => {
        lists += 1;
        return (list as () => unknown)();
      },
    });
    await sweeperOn(cluster, api, { intervalSeconds: 0.02 }).start();
    await expect.poll(() => lists, WITHIN).toBeGreaterThan(2);
    expect(api.told).toEqual([]);
    api.others = [];
    await expect.poll(() => api.told, WITHIN).toMatchObject([{ reason: 'LeftOver' }]);
  });

  test('is told again where the Event could not be', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const api = new FakeApi();
    const { get } = api.client;
    Object.assign(api.client, { get: async () => Promise.reject(new Error('nobody answers')) });
    await sweeperOn(cluster, api).start();
    expect(api.told).toEqual([]);
    Object.assign(api.client, { get });
    await expect.poll(() => api.told, WITHIN).toMatchObject([{ reason: 'LeftOver' }]);
  });

  test('is no orphan where its tags went while the objects were listed', async () => {
    const cluster = newCluster();
    await copy(cluster);
    const api = new FakeApi();
    Object.assign(api.client, {
      list: async () => {
        for (const { tags } of cluster.n2.volumes.values()) tags.length = 0;
        return [];
      },
    });
    await sweeperOn(cluster, api).start();
    expect(api.told).toEqual([]);
  });
});

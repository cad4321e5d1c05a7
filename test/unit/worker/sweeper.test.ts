import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';
import type { KubeClient, WatchEvent, WatchOptions } from '../../../system/kube/client.ts';
import { Sweeper } from '../../../worker/agent/sweeper.ts';
import { type FakeCluster, mirror } from '../activities/node/fake-cluster.ts';
import { copy, newCluster } from '../activities/node/scenario.ts';

/** An API server with the LocalVolumeMigrates that are Aborted, and a watch of them. */
class FakeApi {
  readonly aborted: LocalVolumeMigrate[] = [];
  readonly selectors: unknown[] = [];
  isAway = false;
  #tell: (event: WatchEvent<LocalVolumeMigrate>) => void = () => undefined;

  readonly client = {
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

function sweeperOn(cluster: FakeCluster, api: FakeApi, lines: string[] = [], onCommand = (_: string): void => undefined): Sweeper {
  const { attempt: _, host, ...rest } = cluster.dependencies(cluster.n2);
  const run: typeof host.run = (program, ...given) => {
    onCommand(program);
    return host.run(program, ...given);
  };
  const dependencies = { ...rest, host: { ...host, run } };
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const sweeper = new Sweeper({ client: api.client, dependencies, logger, retrySeconds: 0.05 });
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
    await sweeperOn(cluster, api, lines).start();
    expect(lines).toEqual(['what an aborted migration has left here could not be removed, tried again']);
    device.open -= 1;
    await expect.poll(() => cluster.n2.snapshot(), WITHIN).toEqual(NOTHING);
  });

  test('but what only a person can judge is said once', async () => {
    const cluster = await abortedWithoutTarget();
    const api = new FakeApi();
    const { target: _, ...status } = cluster.migration.status!;
    cluster.migration = { ...cluster.migration, status };
    api.aborted.push(cluster.migration);
    const lines: string[] = [];
    let looks = 0;
    const onCommand = (program: string) => {
      looks += program === 'lvs' ? 1 : 0;
    };
    await sweeperOn(cluster, api, lines, onCommand).start();
    for (const uid of ['another', 'a third one']) {
      const before = looks;
      api.add({ ...cluster.migration, metadata: { ...cluster.migration.metadata, name: uid, uid } });
      await expect.poll(() => looks, WITHIN).toBeGreaterThan(before);
    }
    expect(lines).toEqual(['what an aborted migration has left here could not be removed']);
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

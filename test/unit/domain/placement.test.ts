import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CandidateNode, type PoolState, placeVolume, type VolumeDemand } from '../../../core/domain/placement.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const anyPod = { tolerations: [], nodeSelector: {} };

const pool = (freeGiB: number, change: Partial<PoolState> = {}): PoolState => ({
  name: 'hdd',
  totalBytes: 10 * GiB,
  freeBytes: freeGiB * GiB,
  freeVolumeCount: 10,
  volumes: new Set<string>(),
  ...change,
});

const node = (name: string, freeGiB: number, change: Partial<CandidateNode> = {}): CandidateNode => ({
  name,
  labels: {},
  taints: [],
  ready: true,
  schedulable: true,
  agentReady: true,
  zone: 'default',
  region: 'default',
  pools: [pool(freeGiB)],
  reservations: [],
  ...change,
});

const demand = (change: Partial<VolumeDemand> = {}): VolumeDemand => ({
  volume: 'data',
  sourceNode: 'n1',
  pool: 'hdd',
  volumeBytes: 2 * GiB,
  spaceBytes: 2 * GiB + 4 * MiB,
  accessibility: { nodes: [], zones: ['default'], regions: ['default'] },
  replicaNodes: new Set(['n1']),
  pods: [anyPod],
  givenUp: {},
  ...change,
});

const tainted = { taints: [{ key: 'dedicated', effect: 'NoSchedule' }] };
const anywhere = { nodes: [], zones: [], regions: [] };

describe('a volume goes', () => {
  test.each<[string, VolumeDemand, CandidateNode[], string]>([
    ['to the emptier pool', demand(), [node('n2', 6), node('n3', 8)], 'n3'],
    ['to the first by name among equals', demand(), [node('n3', 8), node('n2', 8)], 'n2'],
    [
      'to the pool that stays emptiest in proportion, not to the one with most free bytes',
      demand(),
      [node('n2', 0, { pools: [pool(8, { totalBytes: 100 * GiB })] }), node('n3', 0, { pools: [pool(6)] })],
      'n3',
    ],
    [
      'away from a pool that is promised to others',
      demand(),
      [node('n2', 8, { reservations: [{ volume: 'other', pool: 'hdd', bytes: 5 * GiB }] }), node('n3', 6)],
      'n3',
    ],
    [
      'where a promise has been kept and stands in the figures already',
      demand(),
      [
        node('n2', 0, {
          pools: [pool(7, { volumes: new Set(['other']) })],
          reservations: [{ volume: 'other', pool: 'hdd', bytes: 5 * GiB }],
        }),
        node('n3', 6),
      ],
      'n2',
    ],
    [
      'where only its own earlier reservation stands in the way',
      demand(),
      [node('n2', 3, { reservations: [{ volume: 'data', pool: 'hdd', bytes: 3 * GiB }] })],
      'n2',
    ],
    ['into a pool it fills to the last byte', demand({ spaceBytes: 3 * GiB }), [node('n2', 3)], 'n2'],
    [
      'where its pods tolerate the taint',
      demand({ pods: [{ ...anyPod, tolerations: [{ operator: 'Exists' }] }] }),
      [node('n2', 9, tainted)],
      'n2',
    ],
    ['past a node with a taint, if no pod uses it', demand({ pods: [] }), [node('n2', 9, tainted), node('n3', 3)], 'n3'],
    ['to a node with a taint, if no pod uses it and there is no other', demand({ pods: [] }), [node('n2', 9, tainted)], 'n2'],
    [
      'anywhere, if its list of nodes only says where it is',
      demand({ accessibility: { ...anywhere, nodes: ['n1'] } }),
      [node('n2', 9), node('n3', 3)],
      'n2',
    ],
    [
      'to the node that its list names',
      demand({ accessibility: { ...anywhere, nodes: ['n1', 'n3'] } }),
      [node('n2', 9), node('n3', 3)],
      'n3',
    ],
    ['to its zone', demand({ accessibility: { ...anywhere, zones: ['z2'] } }), [node('n2', 9), node('n3', 3, { zone: 'z2' })], 'n3'],
    ['to its region', demand({ accessibility: { ...anywhere, regions: ['r2'] } }), [node('n2', 9), node('n3', 3, { region: 'r2' })], 'n3'],
    ['to any zone, if its own is the default', demand(), [node('n2', 9, { zone: 'z2', region: 'r2' })], 'n2'],
  ])('%s', (_, wanted, nodes, expected) => {
    expect(placeVolume(wanted, nodes)).toEqual({ kind: 'placed', node: expected });
  });
});

describe('a node that cannot take the volume says why', () => {
  test.each<[string, CandidateNode, Partial<VolumeDemand>]>([
    ['SourceNode', node('n1', 9), {}],
    ['BlockSizeTooLarge', node('n2', 9), { givenUp: { n2: 'BlockSizeTooLarge' } }],
    ['NodeNotReady', node('n2', 9, { ready: false }), {}],
    ['NodeUnschedulable', node('n2', 9, { schedulable: false }), {}],
    ['AgentNotReady', node('n2', 9, { agentReady: false }), {}],
    ['HasReplica', node('n2', 9), { replicaNodes: new Set(['n1', 'n2']) }],
    ['HasReplica', node('n2', 9, { pools: [pool(9, { name: 'ssd', volumes: new Set(['data']) }), pool(9)] }), {}],
    ['NotAccessible', node('n2', 9), { accessibility: { ...anywhere, nodes: ['n3'] } }],
    ['NotAccessible', node('n2', 9, { zone: 'z1' }), { accessibility: { ...anywhere, zones: ['z2', 'default'] } }],
    ['NotAccessible', node('n2', 9, { region: 'r1' }), { accessibility: { ...anywhere, regions: ['r2'] } }],
    ['NodeTainted', node('n2', 9, tainted), {}],
    ['NodeSelectorMismatch', node('n2', 9), { pods: [anyPod, { ...anyPod, nodeSelector: { disk: 'ssd' } }] }],
    ['NoSuchPool', node('n2', 9, { pools: [pool(9, { name: 'ssd' })] }), {}],
    ['CapacityLimitReached', node('n2', 0, { pools: [pool(9, { volumeLimitBytes: 2 * GiB - 1 })] }), {}],
    ['VolumeCountReached', node('n2', 0, { pools: [pool(9, { freeVolumeCount: 0 })] }), {}],
    [
      'VolumeCountReached',
      node('n2', 0, { pools: [pool(9, { freeVolumeCount: 1 })], reservations: [{ volume: 'other', pool: 'hdd', bytes: 1 }] }),
      {},
    ],
    ['PoolFull', node('n2', 2), {}],
    ['PoolFull', node('n2', 4, { reservations: [{ volume: 'other', pool: 'hdd', bytes: 2 * GiB }] }), {}],
  ])('%s', (refusal, candidate, change) => {
    expect(placeVolume(demand(change), [candidate])).toEqual({ kind: 'refused', refusals: { [candidate.name]: refusal } });
  });

  test('every node has its own reason', () => {
    const nodes = [node('n1', 9), node('n2', 1), node('n3', 9, { ready: false })];
    expect(placeVolume(demand(), nodes)).toEqual({ kind: 'refused', refusals: { n1: 'SourceNode', n2: 'PoolFull', n3: 'NodeNotReady' } });
  });

  test('a cluster without nodes has no reasons', () => {
    expect(placeVolume(demand(), [])).toEqual({ kind: 'refused', refusals: {} });
  });
});

/** Several migrations and the agents take their steps in any order; the objects change only by compare-and-swap, as on the API server. */
describe('no interleaving of placements over-commits a pool', () => {
  type Step = { readonly kind: 'look' | 'reserve' | 'makeVolume' | 'forget'; readonly volume: number };
  const extents = (count: number) => count * 4 * MiB;

  class Cluster {
    readonly versions = new Map<string, number>();
    readonly nodes = new Map<string, CandidateNode>();
    constructor(sizes: readonly number[]) {
      for (const [index, size] of sizes.entries())
        this.set(
          node(`n${index + 2}`, 0, { pools: [pool(0, { totalBytes: extents(size), freeBytes: extents(size), freeVolumeCount: 2 })] }),
        );
    }
    set(changed: CandidateNode): void {
      this.nodes.set(changed.name, changed);
      this.versions.set(changed.name, (this.versions.get(changed.name) ?? 0) + 1);
    }
  }

  function makeVolume(cluster: Cluster, name: string): void {
    for (const candidate of cluster.nodes.values()) {
      const promise = candidate.reservations.find(({ volume }) => volume === name);
      const [before] = candidate.pools as [PoolState];
      if (!promise || before.volumes.has(name)) continue;
      const after = {
        ...before,
        freeBytes: before.freeBytes - promise.bytes,
        freeVolumeCount: before.freeVolumeCount - 1,
        volumes: before.volumes.union(new Set([name])),
      };
      cluster.set({ ...candidate, pools: [after] });
    }
  }

  function run(sizes: readonly number[], demands: readonly number[], steps: readonly Step[]): void {
    const cluster = new Cluster(sizes);
    const plans = new Map<number, { readonly node: string; readonly version: number }>();
    const placed = new Set<number>();
    for (const { kind, volume } of steps) {
      const name = `v${volume}`;
      const wanted = demand({ volume: name, volumeBytes: extents(demands[volume]!), spaceBytes: extents(demands[volume]! + 1) });
      const plan = plans.get(volume);
      if (kind === 'look' && !placed.has(volume)) {
        const placement = placeVolume(wanted, [...cluster.nodes.values()]);
        if (placement.kind === 'placed') plans.set(volume, { node: placement.node, version: cluster.versions.get(placement.node)! });
      } else if (kind === 'reserve' && plan && cluster.versions.get(plan.node) === plan.version) {
        const target = cluster.nodes.get(plan.node)!;
        cluster.set({ ...target, reservations: [...target.reservations, { volume: name, pool: 'hdd', bytes: wanted.spaceBytes }] });
        placed.add(volume);
        plans.delete(volume);
      } else if (kind === 'makeVolume') {
        makeVolume(cluster, name);
      } else if (kind === 'forget') {
        for (const target of cluster.nodes.values()) {
          const gone = target.pools.some(({ volumes }) => volumes.has(name));
          if (gone) cluster.set({ ...target, reservations: target.reservations.filter((promise) => promise.volume !== name) });
        }
      }
      for (const { pools, reservations } of cluster.nodes.values()) {
        const open = reservations.filter((promise) => !pools[0]!.volumes.has(promise.volume));
        expect(pools[0]!.freeBytes - open.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThanOrEqual(0);
        expect(pools[0]!.freeVolumeCount - open.length).toBeGreaterThanOrEqual(0);
      }
    }
  }

  test('whatever the order of looking, reserving, making volumes and forgetting reservations', () => {
    const step = fc.record({
      kind: fc.constantFrom('look', 'reserve', 'makeVolume', 'forget'),
      volume: fc.nat({ max: 7 }),
    }) as fc.Arbitrary<Step>;
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 8, maxLength: 8 }),
        fc.array(step, { minLength: 10, maxLength: 80 }),
        run,
      ),
      { numRuns: 500 },
    );
  });
});

test('the order in which nodes are listed decides nothing', () => {
  const candidates = fc.uniqueArray(fc.record({ name: fc.constantFrom('n2', 'n3', 'n4', 'n5'), free: fc.integer({ min: 0, max: 5 }) }), {
    selector: ({ name }) => name,
  });
  fc.assert(
    fc.property(candidates, (list) => {
      const nodes = list.map(({ name, free }) => node(name, free));
      expect(placeVolume(demand(), nodes.toReversed())).toEqual(placeVolume(demand(), nodes));
    }),
  );
});

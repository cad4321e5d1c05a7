import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CandidateNode,
  type FollowingVolume,
  type PoolState,
  placeVolume,
  shareOf,
  type ThinPoolState,
  type VolumeDemand,
} from '../../../core/domain/placement.ts';
import type { ThinShare } from '../../../core/domain/reserved-space.ts';
import { candidateNode } from './candidate-node.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const anyPod = { uid: 'pod-0', tolerations: [], nodeSelector: {} };
const otherPod = { ...anyPod, uid: 'pod-1' };

const pool = (freeGiB: number, change: Partial<PoolState> = {}): PoolState => ({
  name: 'hdd',
  totalBytes: 10 * GiB,
  freeBytes: freeGiB * GiB,
  freeVolumeCount: 10,
  volumes: new Set<string>(),
  thinPools: [],
  ...change,
});

const node = (name: string, freeGiB: number, change: Partial<CandidateNode> = {}): CandidateNode =>
  candidateNode(name, [pool(freeGiB)], change);

const demand = (change: Partial<VolumeDemand> = {}): VolumeDemand => ({
  volume: 'data',
  sourceNode: 'n1',
  pool: 'hdd',
  volumeBytes: 2 * GiB,
  spaceBytes: 2 * GiB + 4 * MiB,
  accessibility: { nodes: [], zones: ['default'], regions: ['default'] },
  replicaNodes: new Set(['n1']),
  pods: [anyPod],
  attached: ['data'],
  companions: { nodes: new Set(), following: [] },
  givenUp: {},
  suggested: [],
  ...change,
});

/** Another volume of the same pods, which has yet to leave n1. */
const follower = (change: Partial<FollowingVolume>): FollowingVolume => ({ ...demand(), volume: 'log', spaceBytes: 4 * MiB, ...change });
const aheadOf = (...following: readonly FollowingVolume[]) => ({ nodes: new Set<string>(), following });

const attaching = (limit: number, ...volumes: string[]) => ({ attachments: { limit, taken: new Set(volumes) } });
const holding = (limit: number, ...pods: string[]) => ({ pods: { limit, taken: new Set(pods) } });
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
      'where only its own earlier reservation stands in the way',
      demand(),
      [node('n2', 3, { reservations: [{ volume: 'data', pool: 'hdd', bytes: 3 * GiB }] })],
      'n2',
    ],
    [
      'away from a pool that others need to follow the first volume of their pods',
      demand(),
      [node('n2', 8, { following: [follower({ spaceBytes: 7 * GiB })] }), node('n3', 3)],
      'n3',
    ],
    [
      'where the room is kept for itself',
      demand(),
      [node('n2', 3, { following: [follower({ volume: 'data', spaceBytes: 3 * GiB })] })],
      'n2',
    ],
    ['into a pool it fills to the last byte', demand({ spaceBytes: 3 * GiB }), [node('n2', 3)], 'n2'],
    [
      'where its pods tolerate the taint',
      demand({ pods: [{ ...anyPod, tolerations: [{ operator: 'Exists' }] }] }),
      [node('n2', 9, tainted)],
      'n2',
    ],
    ['where there is a place for its last pod', demand(), [node('n2', 9, holding(2, 'a'))], 'n2'],
    [
      'where its pod has its place already, because another volume of it goes there',
      demand(),
      [node('n2', 9, holding(2, 'a', 'pod-0'))],
      'n2',
    ],
    ['to a node without a place for pods, if none uses it', demand({ pods: [] }), [node('n2', 9, holding(1, 'a'))], 'n2'],
    ['where its pods may attach their last volume', demand(), [node('n2', 9, attaching(3, 'a', 'b'))], 'n2'],
    ['where only its own reservation takes the last attachment', demand(), [node('n2', 9, attaching(2, 'a', 'data'))], 'n2'],
    [
      'to a node on which no more may be attached, if no pod uses it',
      demand({ pods: [], attached: [] }),
      [node('n2', 9, attaching(1, 'a', 'b'))],
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
    [
      'to the node where the other volumes of its pods are going',
      demand({ companions: { nodes: new Set(['n3']), following: [] } }),
      [node('n2', 9), node('n3', 3)],
      'n3',
    ],
    [
      'first of all where the other volumes of its pods find room too',
      demand({ companions: aheadOf(follower({ spaceBytes: 4 * GiB })) }),
      [node('n2', 5, { pools: [pool(5, { totalBytes: 6 * GiB })] }), node('n3', 7, { pools: [pool(7, { totalBytes: 100 * GiB })] })],
      'n3',
    ],
    [
      'where another volume of its pods has a replica already',
      demand({ companions: aheadOf(follower({ spaceBytes: 7 * GiB, replicaNodes: new Set(['n1', 'n2']) })) }),
      [node('n2', 9), node('n3', 8)],
      'n2',
    ],
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
    ['NodeUnderPressure', node('n2', 9, { underPressure: true }), {}],
    ['AgentNotReady', node('n2', 9, { agentReady: false }), {}],
    ['HasReplica', node('n2', 9), { replicaNodes: new Set(['n1', 'n2']) }],
    ['HasReplica', node('n2', 9, { pools: [pool(9, { name: 'ssd', volumes: new Set(['data']) }), pool(9)] }), {}],
    ['NotAccessible', node('n2', 9), { accessibility: { ...anywhere, nodes: ['n3'] } }],
    ['NotAccessible', node('n2', 9, { zone: 'z1' }), { accessibility: { ...anywhere, zones: ['z2', 'default'] } }],
    ['NotAccessible', node('n2', 9, { region: 'r1' }), { accessibility: { ...anywhere, regions: ['r2'] } }],
    ['OtherVolumesElsewhere', node('n2', 9), { companions: { nodes: new Set(['n3']), following: [] } }],
    ['NoRoomForOtherVolumes', node('n2', 9), { companions: aheadOf(follower({ spaceBytes: 7 * GiB })) }],
    [
      'NoRoomForOtherVolumes',
      node('n2', 9),
      { companions: aheadOf(follower({ spaceBytes: 4 * GiB }), follower({ volume: 'temp', spaceBytes: 4 * GiB })) },
    ],
    ['NoRoomForOtherVolumes', node('n2', 9), { companions: aheadOf(follower({ pool: 'ssd' })) }],
    [
      'NoRoomForOtherVolumes',
      node('n2', 9),
      { companions: aheadOf(follower({ thin: { pool: 'thin', allocatedBytes: 0, chunkBytes: 4 * MiB } })) },
    ],
    ['NoRoomForOtherVolumes', node('n2', 9), { companions: aheadOf(follower({ accessibility: { ...anywhere, zones: ['z2'] } })) }],
    ['NoRoomForOtherVolumes', node('n2', 9, { pools: [pool(9, { freeVolumeCount: 1 })] }), { companions: aheadOf(follower({})) }],
    ['NodeTainted', node('n2', 9, tainted), {}],
    ['NodeSelectorMismatch', node('n2', 9), { pods: [anyPod, { ...otherPod, nodeSelector: { disk: 'ssd' } }] }],
    ['PodCountReached', node('n2', 9, holding(1, 'a')), {}],
    ['PodCountReached', node('n2', 9, holding(2, 'a')), { pods: [anyPod, otherPod] }],
    [
      'PodAffinityMismatch',
      node('n2', 9),
      { pods: [{ ...anyPod, topology: { avoided: new Map(), required: new Map([['zone', 'any']]) } }] },
    ],
    ['AttachmentCountReached', node('n2', 9, attaching(2, 'a', 'b')), {}],
    ['AttachmentCountReached', node('n2', 9, attaching(3, 'a', 'b')), { attached: ['data', 'log'] }],
    ['AttachmentCountReached', node('n2', 9, attaching(0)), {}],
    ['NoSuchPool', node('n2', 9, { pools: [pool(9, { name: 'ssd' })] }), {}],
    ['CapacityLimitReached', node('n2', 0, { pools: [pool(9, { volumeLimitBytes: 2 * GiB - 1 })] }), {}],
    ['VolumeCountReached', node('n2', 0, { pools: [pool(9, { freeVolumeCount: 0 })] }), {}],
    [
      'VolumeCountReached',
      node('n2', 0, { pools: [pool(9, { freeVolumeCount: 1 })], reservations: [{ volume: 'other', pool: 'hdd', bytes: 1 }] }),
      {},
    ],
    ['VolumeCountReached', node('n2', 0, { pools: [pool(9, { freeVolumeCount: 1 })], following: [follower({})] }), {}],
    ['PoolFull', node('n2', 2), {}],
    ['PoolFull', node('n2', 4, { following: [follower({ spaceBytes: 2 * GiB })] }), {}],
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

test('two pods of two volumes each find one node, of which the better one takes three volumes, in whatever order they come', () => {
  const pods = [
    ['a1', 'a2'],
    ['b1', 'b2'],
  ];
  const small = (volume: string) => follower({ volume, spaceBytes: 4 * MiB });
  const others = (volume: string) => pods.flatMap((pod) => (pod.includes(volume) ? pod.filter((each) => each !== volume) : []));
  const inOrder = (volumes: readonly string[]) => {
    const targets = new Map<string, string>();
    const candidateOf = (name: string, freeGiB: number, freeVolumeCount: number) => {
      const there = [...targets.keys()].filter((volume) => targets.get(volume) === name);
      return node(name, 0, {
        pools: [pool(freeGiB, { freeVolumeCount })],
        reservations: there.map((volume) => ({ volume, pool: 'hdd', bytes: 4 * MiB })),
        following: there.flatMap(others).flatMap((volume) => (targets.has(volume) ? [] : [small(volume)])),
      });
    };
    for (const volume of volumes) {
      const nodes = new Set(others(volume).flatMap((other) => targets.get(other) ?? []));
      const companions = { nodes, following: others(volume).map(small) };
      const placement = placeVolume(demand({ ...small(volume), companions }), [candidateOf('n2', 9, 3), candidateOf('n3', 5, 2)]);
      targets.set(volume, placement.kind === 'placed' ? placement.node : JSON.stringify(placement.refusals));
    }
    return pods.map((pod) => pod.map((volume) => targets.get(volume)));
  };
  const first = [
    ['n2', 'n2'],
    ['n3', 'n3'],
  ];
  expect(inOrder(['a1', 'b1', 'a2', 'b2'])).toEqual(first);
  expect(inOrder(['a1', 'a2', 'b1', 'b2'])).toEqual(first);
  expect(inOrder(['b2', 'a1', 'a2', 'b1'])).toEqual(first.toReversed());
});

describe('a volume for which nodes are suggested', () => {
  test('goes to the first of them that can take it, not to the emptiest, and says why not to others', () => {
    const wanted = demand({ suggested: ['n9', 'n3', 'n4', 'n2'] });
    expect(placeVolume(wanted, [node('n2', 9), node('n3', 1), node('n4', 4), node('n5', 9)])).toEqual({
      kind: 'placed',
      node: 'n4',
      unfit: { n9: 'NoSuchNode', n3: 'PoolFull' },
    });
  });

  test('goes to no other, and names these alone', () => {
    const wanted = demand({ suggested: ['n3', 'n9'] });
    expect(placeVolume(wanted, [node('n2', 9), node('n3', 1)])).toEqual({
      kind: 'refused',
      refusals: { n3: 'PoolFull', n9: 'NoSuchNode' },
    });
  });

  test('goes to one of them, and only where it might go without a word as well', () => {
    const name = fc.constantFrom('n2', 'n3', 'n4', 'n5');
    const candidates = fc.uniqueArray(fc.record({ name, free: fc.integer({ min: 0, max: 5 }) }), { selector: (each) => each.name });
    fc.assert(
      fc.property(candidates, fc.uniqueArray(name, { minLength: 1 }), (list, suggested) => {
        const nodes = list.map((each) => node(each.name, each.free));
        const placement = placeVolume(demand({ suggested }), nodes);
        const fit = suggested.filter(
          (each) =>
            placeVolume(
              demand(),
              nodes.filter((other) => other.name === each),
            ).kind === 'placed',
        );
        expect(placement.kind === 'placed' ? placement.node : undefined).toBe(fit[0]);
        const named = placement.kind === 'placed' ? placement.unfit : placement.refusals;
        expect(Object.keys(named ?? {}).sort()).toEqual(suggested.filter((each) => !fit.includes(each)).sort());
      }),
    );
  });
});

describe('a thin volume', () => {
  const thin = { pool: 'tp', allocatedBytes: GiB, chunkBytes: 64 * 2 ** 10 };
  const thinDemand = demand({ volumeBytes: 4 * GiB, spaceBytes: 4 * MiB, thin });
  const thinNode = (name: string, freeGiB: number, change: Partial<ThinPoolState> = {}, reserved: readonly ThinShare[] = []) =>
    node(name, 0, {
      pools: [
        pool(0, {
          totalBytes: 2 * GiB,
          volumeLimitBytes: 2 * GiB,
          thinPools: [
            { name: 'tp', totalBytes: 8 * GiB, freeBytes: freeGiB * GiB, promisedBytes: 2 * GiB, chunkBytes: 64 * 2 ** 10, ...change },
          ],
        }),
      ],
      reservations: reserved.map((share, index) => ({ volume: `other-${index}`, pool: 'hdd', bytes: 0, thin: share })),
    });
  const other = (giB: number, promisedGiB: number, name = 'tp'): ThinShare => ({
    pool: name,
    bytes: giB * GiB,
    promisedBytes: promisedGiB * GiB,
  });

  test.each<[string, CandidateNode[], string]>([
    ['needs room for what it has taken, in the thin pool alone', [thinNode('n2', 1)], 'n2'],
    ['goes to the emptier thin pool', [thinNode('n2', 2), thinNode('n3', 3)], 'n3'],
    ['goes where its pool promises no more than it may', [thinNode('n2', 3, { promisableBytes: 6 * GiB })], 'n2'],
    ['is not in the way of what is reserved in another thin pool', [thinNode('n2', 1, {}, [other(9, 9, 'tp2')])], 'n2'],
  ])('%s', (_, nodes, expected) => {
    expect(placeVolume(thinDemand, nodes)).toEqual({ kind: 'placed', node: expected });
  });

  test.each<[string, string, CandidateNode]>([
    ['NoSuchThinPool', 'without a thin pool of that name', thinNode('n2', 9, { name: 'another' })],
    ['PoolFull', 'whose thin pool is too full', thinNode('n2', 0.5)],
    ['PoolFull', 'whose thin pool is reserved for others', thinNode('n2', 2, {}, [other(1.5, 0)])],
    ['PoolFull', 'whose larger chunks the volume would take whole', thinNode('n2', 2, { chunkBytes: 256 * 2 ** 10 })],
    ['ThinPoolOvercommitted', 'whose thin pool promises too much', thinNode('n2', 5, { promisableBytes: 5 * GiB })],
    [
      'ThinPoolOvercommitted',
      'whose thin pool has to promise it to others that follow',
      { ...thinNode('n2', 5, { promisableBytes: 8 * GiB }), following: [{ ...thinDemand, volume: 'log' }] },
    ],
    ['ThinPoolOvercommitted', 'whose thin pool has promised it to others', thinNode('n2', 5, { promisableBytes: 8 * GiB }, [other(0, 3)])],
  ])('is refused as %s by a node %s', (refusal, _, candidate) => {
    expect(placeVolume(thinDemand, [candidate])).toEqual({ kind: 'refused', refusals: { n2: refusal } });
  });

  test('reserves its metadata of the volume group, and the rest of the thin pool, in its chunks', () => {
    expect(shareOf(thinDemand, thinNode('n2', 9, { chunkBytes: 128 * 2 ** 10 }))).toEqual({
      bytes: 4 * MiB,
      thin: { pool: 'tp', bytes: 2 * GiB, promisedBytes: 4 * GiB },
    });
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

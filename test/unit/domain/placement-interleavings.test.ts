/** Several migrations and the agents take their steps in any order; the objects change only by compare-and-swap, as on the API server. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Pool, Reservation } from '../../../core/contracts/objects/index.ts';
import { type CandidateNode, type Placement, placeVolume, shareOf, type VolumeDemand } from '../../../core/domain/placement.ts';
import { outstandingReservations } from '../../../core/domain/reserved-space.ts';
import { candidateNode } from './candidate-node.ts';

/** Looks and reservations twice, so that pools fill. */
const STEPS = ['look', 'look', 'reserve', 'reserve', 'makeMetadata', 'makeVolume', 'copy', 'cutOver', 'release'] as const;
type Step = { readonly kind: (typeof STEPS)[number]; readonly volume: number };
/** In extents; of a thin one what it has taken, which is half of its size. */
type Size = { readonly extents: number; readonly thin: boolean };
/** The volumes with one number are those of one pod. */
type Pods = readonly number[];
const EXTENT = 4 * 2 ** 20;
const CHUNK = 2 ** 16;
const VOLUMES = 8;

interface ThinPool {
  readonly size: number;
  readonly taken: number;
  readonly promised: number;
  /** How much of its size it may promise. */
  readonly ratio: number;
}

/** A LocalStorageNode as annotations and agent's report make it up. */
interface StorageNode {
  readonly name: string;
  readonly version: number;
  readonly reservations: ReadonlyMap<string, Reservation>;
  readonly pool: Pool;
  readonly thinPool: ThinPool;
}

const empty = (name: string, extents: number, ratio: number): StorageNode => ({
  name,
  version: 0,
  reservations: new Map(),
  pool: {
    name: 'hdd',
    class: 'HDD',
    type: 'REGULAR',
    totalCapacityBytes: extents * EXTENT,
    usedCapacityBytes: 0,
    freeCapacityBytes: extents * EXTENT,
    volumeCapacityBytesLimit: extents * EXTENT,
    totalVolumeCount: 3,
    usedVolumeCount: 0,
    freeVolumeCount: 3,
  },
  thinPool: { size: extents * EXTENT, taken: 0, promised: 0, ratio },
});

const candidate = (
  { name, pool, reservations, thinPool: { size, taken, promised, ratio } }: StorageNode,
  following: CandidateNode['following'] = [],
): CandidateNode => {
  const thinPool = {
    name: 'tp',
    totalBytes: size,
    freeBytes: size - taken,
    promisedBytes: promised,
    promisableBytes: size * ratio,
    chunkBytes: CHUNK,
  };
  const state = {
    name: 'hdd',
    totalBytes: pool.totalCapacityBytes,
    freeBytes: pool.freeCapacityBytes,
    freeVolumeCount: pool.freeVolumeCount,
    volumes: new Set(pool.volumes),
    thinPools: [thinPool],
  };
  return candidateNode(name, [state], { reservations: outstandingReservations(reservations, { hdd: pool }), following });
};

const demandOf = (volume: string, { extents, thin }: Size): VolumeDemand => ({
  volume,
  sourceNode: 'n1',
  pool: 'hdd',
  volumeBytes: (thin ? 2 : 1) * extents * EXTENT,
  spaceBytes: (thin ? 0 : extents * EXTENT) + EXTENT,
  thin: thin ? { pool: 'tp', allocatedBytes: extents * EXTENT, chunkBytes: CHUNK } : undefined,
  accessibility: { nodes: [], zones: [], regions: [] },
  replicaNodes: new Set(['n1']),
  pods: [],
  attached: [],
  companions: { nodes: new Set(), following: [] },
  givenUp: {},
  suggested: [],
});

/** What the target's agent does for a volume that is reserved there, and reports. */
function act(node: StorageNode, kind: Step['kind'], volume: string, size: Size): StorageNode {
  const { pool, reservations, thinPool } = node;
  const { volumes = [], arriving = [] } = pool;
  const reserved = reservations.get(volume);
  const made = arriving.find((share) => share.volume === volume);
  if (!reserved) return node;
  if (kind === 'release') {
    // A migration gives up what is not there yet, or has arrived: never what is half made.
    const left = new Map(reservations);
    left.delete(volume);
    return made ? node : { ...node, reservations: left };
  }
  if (volumes.includes(volume)) return node;
  const others = arriving.filter((share) => share !== made);
  const report = (share: NonNullable<typeof made>, takenOfGroup: number, thin = thinPool): StorageNode => ({
    ...node,
    pool: { ...pool, arriving: [...others, share], freeCapacityBytes: pool.freeCapacityBytes - takenOfGroup },
    thinPool: thin,
  });
  const isMade = size.thin ? made?.thinBytes !== undefined : made?.bytes === reserved.bytes;
  const allocated = size.extents * EXTENT;
  switch (kind) {
    case 'makeMetadata':
      if (made) return node;
      // A thin volume asks the group for no room: where there is none left its metadata is in a file.
      return size.thin && groupBytesLeft(node) < EXTENT ? report({ volume, bytes: 0 }, 0) : report({ volume, bytes: EXTENT }, EXTENT);
    case 'makeVolume': {
      if (!made || isMade) return node;
      if (!size.thin) return report({ volume, bytes: reserved.bytes }, reserved.bytes - EXTENT);
      return report({ ...made, thinBytes: 0 }, 0, { ...thinPool, promised: thinPool.promised + 2 * allocated });
    }
    case 'copy': {
      const before = made?.thinBytes;
      if (!made || before === undefined || before === allocated) return node;
      return report({ ...made, thinBytes: before + EXTENT }, 0, { ...thinPool, taken: thinPool.taken + EXTENT });
    }
    case 'cutOver': {
      const isWhole = size.thin ? made?.thinBytes === allocated : isMade;
      if (!isWhole) return node;
      return { ...node, pool: { ...pool, volumes: [...volumes, volume], arriving: others, freeVolumeCount: pool.freeVolumeCount - 1 } };
    }
    default:
      return node;
  }
}

/** Of the volume group, once what is promised to thick volumes is there. */
function groupBytesLeft(node: StorageNode): number {
  const { pools, reservations } = candidate(node);
  return reservations.reduce((left, { bytes, thin }) => left - (thin ? 0 : bytes), pools[0]!.freeBytes);
}

/** What of a node is promised more than once. */
function overCommitted(node: StorageNode): readonly string[] {
  const { pools, reservations } = candidate(node);
  const [pool] = pools;
  const { size, taken, promised, ratio } = node.thinPool;
  const sum = (share: (reservation: (typeof reservations)[number]) => number) =>
    reservations.reduce((total, reservation) => total + share(reservation), 0);
  return [
    ...(taken > size || node.pool.freeCapacityBytes < 0 ? ['what is there already'] : []),
    ...(groupBytesLeft(node) < 0 ? ['bytes of the volume group'] : []),
    ...(reservations.length > pool!.freeVolumeCount ? ['places for volumes'] : []),
    ...(sum(({ thin }) => thin?.bytes ?? 0) > size - taken ? ['bytes of the thin pool'] : []),
    ...(sum(({ thin }) => thin?.promisedBytes ?? 0) > size * ratio - promised ? ['promises of the thin pool'] : []),
  ];
}

/** A cluster whose volumes all leave n1. */
class Drain {
  readonly nodes: Map<string, StorageNode>;
  /** Those that have reserved, though they may have ended since. */
  readonly placed = new Set<number>();
  readonly #sizes: readonly Size[];
  readonly #pods: Pods;

  constructor(pools: readonly number[], ratio: number, sizes: readonly Size[], pods: Pods) {
    this.nodes = new Map(pools.map((size, index) => [`n${index + 2}`, empty(`n${index + 2}`, size, ratio)]));
    this.#sizes = sizes;
    this.#pods = pods;
  }

  write(changed: StorageNode): void {
    this.nodes.set(changed.name, { ...changed, version: changed.version + 1 });
  }

  placementOf(index: number): Placement {
    return placeVolume(
      this.demandOf(index),
      Array.from(this.nodes.values(), (node) => this.candidate(node)),
    );
  }

  candidate(node: StorageNode): CandidateNode {
    const leaders = this.#indices().filter((index) => node.reservations.has(`v${index}`));
    const bound = new Set(leaders.flatMap((leader) => this.companionsOf(leader)));
    const following = [...bound].filter(
      (index) => !node.reservations.has(`v${index}`) && !this.#hasEnded(index) && !this.hasArrived(index),
    );
    return candidate(
      node,
      following.map((index) => demandOf(`v${index}`, this.#sizes[index]!)),
    );
  }

  demandOf(index: number): VolumeDemand {
    const companions = this.companionsOf(index);
    const bound = this.#nodesWith((node) => companions.some((other) => node.reservations.has(`v${other}`) || isIn(node, other)));
    const following = companions.filter((other) => !this.hasArrived(other)).map((other) => demandOf(`v${other}`, this.#sizes[other]!));
    return { ...demandOf(`v${index}`, this.#sizes[index]!), companions: { nodes: new Set(bound.map(({ name }) => name)), following } };
  }

  /** Those of which another one has reserved, and for which there is no place. */
  stranded(): readonly string[] {
    return this.followers().flatMap((index) => {
      const placement = this.placementOf(index);
      return placement.kind === 'refused' ? [`v${index}: ${JSON.stringify(placement.refusals)}`] : [];
    });
  }

  followers(): readonly number[] {
    const isBound = (index: number) =>
      this.companionsOf(index).some((other) => this.#nodesWith(({ reservations }) => reservations.has(`v${other}`)).length > 0);
    return this.#indices().filter((index) => !this.placed.has(index) && isBound(index));
  }

  companionsOf(index: number): readonly number[] {
    return this.#indices().filter((other) => other !== index && this.#pods[other] === this.#pods[index]);
  }

  hasArrived(index: number): boolean {
    return this.#nodesWith((node) => isIn(node, index)).length > 0;
  }

  /** Its room was given back. */
  #hasEnded(index: number): boolean {
    return this.placed.has(index) && this.#nodesWith(({ reservations }) => reservations.has(`v${index}`)).length === 0;
  }

  #nodesWith(isMeant: (node: StorageNode) => boolean): readonly StorageNode[] {
    return [...this.nodes.values()].filter(isMeant);
  }

  #indices(): readonly number[] {
    return this.#sizes.map((_, index) => index);
  }
}

const isIn = ({ pool }: StorageNode, index: number): boolean => pool.volumes?.includes(`v${index}`) ?? false;

/** @returns how many volumes have found a place, and how many of them because another one of their pod had one. */
function run(drain: Drain, sizes: readonly Size[], steps: readonly Step[]): { readonly placed: number; readonly followed: number } {
  const { nodes, placed } = drain;
  const plans = new Map<number, StorageNode>();
  let followed = 0;
  for (const { kind, volume: index } of steps) {
    const volume = `v${index}`;
    const plan = plans.get(index);
    if (kind === 'look') {
      const placement = drain.placementOf(index);
      if (placement.kind === 'placed' && !placed.has(index)) plans.set(index, nodes.get(placement.node)!);
    } else if (kind === 'reserve') {
      if (!plan || nodes.get(plan.name)!.version !== plan.version || placed.has(index)) continue;
      const share = { pool: 'hdd', ...shareOf(drain.demandOf(index), candidate(plan)), id: volume };
      if (drain.followers().includes(index)) followed += 1;
      drain.write({ ...plan, reservations: new Map(plan.reservations).set(volume, share) });
      placed.add(index);
    } else {
      // None of a pod's volumes has left for good while another one has no place.
      if (kind === 'release' && drain.hasArrived(index) && drain.companionsOf(index).some((other) => !placed.has(other))) continue;
      for (const node of nodes.values()) {
        const changed = act(node, kind, volume, sizes[index]!);
        if (changed !== node) drain.write(changed);
      }
    }
    const broken = [...nodes.values()].flatMap(overCommitted);
    if (broken.length > 0) expect(broken).toEqual([]);
    // A thin volume takes the last extent of a group that somebody else was promised: into a file its metadata goes only where none is left.
    const stranded = new Set(sizes.map(({ thin }) => thin)).size === 1 ? drain.stranded() : [];
    if (stranded.length > 0) expect(stranded).toEqual([]);
  }
  return { placed: placed.size, followed };
}

const anyPools = fc.array(fc.integer({ min: 0, max: 24 }), { minLength: 1, maxLength: 3 });
const anyRatio = fc.constantFrom(1.5, 4);
const anySteps = fc.array(fc.record({ kind: fc.constantFrom(...STEPS), volume: fc.nat({ max: VOLUMES - 1 }) }), {
  minLength: 100,
  maxLength: 300,
});
const perVolume = <T>(each: fc.Arbitrary<T>) => fc.array(each, { minLength: VOLUMES, maxLength: VOLUMES });
const anyExtents = fc.integer({ min: 1, max: 9 });
const anyPods: fc.Arbitrary<Pods> = perVolume(fc.nat({ max: 4 }));

test('no interleaving over-commits a pool, thin or thick, whatever the order in which migrations look and reserve, agents make and copy, and reservations end', () => {
  let places = 0;
  const sizes = perVolume(fc.record({ extents: anyExtents, thin: fc.boolean() }));
  const pods = fc.oneof(fc.constant(Array.from({ length: VOLUMES }, (_, index) => index)), anyPods);
  fc.assert(
    fc.property(anyPools, anyRatio, sizes, pods, anySteps, (pools, ratio, sizes, pods, steps) => {
      places += run(new Drain(pools, ratio, sizes, pods), sizes, steps).placed;
    }),
    { numRuns: 200 },
  );
  expect(places).toBeGreaterThan(400);
});

test('where the first volume of a pod has found a place, the others find theirs beside it, whatever else looks for one in between', () => {
  let followed = 0;
  const sizes = fc.tuple(perVolume(anyExtents), fc.boolean()).map(([all, thin]) => all.map((extents) => ({ extents, thin })));
  fc.assert(
    fc.property(anyPools, anyRatio, sizes, anyPods, anySteps, (pools, ratio, sizes, pods, steps) => {
      followed += run(new Drain(pools, ratio, sizes, pods), sizes, steps).followed;
    }),
    { numRuns: 1000 },
  );
  expect(followed).toBeGreaterThan(250);
});

/** Several migrations and the agents take their steps in any order; the objects change only by compare-and-swap, as on the API server. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Pool, Reservation } from '../../../core/contracts/objects/index.ts';
import { type CandidateNode, placeVolume, shareOf, type VolumeDemand } from '../../../core/domain/placement.ts';
import { outstandingReservations } from '../../../core/domain/reserved-space.ts';
import { candidateNode } from './candidate-node.ts';

/** Looks and reservations twice, so that pools fill. */
const STEPS = ['look', 'look', 'reserve', 'reserve', 'makeMetadata', 'makeVolume', 'copy', 'cutOver', 'release'] as const;
type Step = { readonly kind: (typeof STEPS)[number]; readonly volume: number };
/** In extents; of a thin one what it has taken, which is half of its size. */
type Size = { readonly extents: number; readonly thin: boolean };
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

const candidate = ({ name, pool, reservations, thinPool: { size, taken, promised, ratio } }: StorageNode): CandidateNode => {
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
  return candidateNode(name, [state], { reservations: outstandingReservations(reservations, { hdd: pool }) });
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

/** @returns how many volumes have found a place. */
function run(pools: readonly number[], ratio: number, sizes: readonly Size[], steps: readonly Step[]): number {
  const cluster = new Map(pools.map((size, index) => [`n${index + 2}`, empty(`n${index + 2}`, size, ratio)]));
  const write = (changed: StorageNode) => cluster.set(changed.name, { ...changed, version: changed.version + 1 });
  const plans = new Map<number, StorageNode>();
  const placed = new Set<number>();
  for (const { kind, volume: index } of steps) {
    const volume = `v${index}`;
    const size = sizes[index]!;
    const plan = plans.get(index);
    if (kind === 'look') {
      const placement = placeVolume(demandOf(volume, size), Array.from(cluster.values(), candidate));
      if (placement.kind === 'placed' && !placed.has(index)) plans.set(index, cluster.get(placement.node)!);
    } else if (kind === 'reserve') {
      if (!plan || cluster.get(plan.name)!.version !== plan.version || placed.has(index)) continue;
      const share = { pool: 'hdd', ...shareOf(demandOf(volume, size), candidate(plan)), id: volume };
      write({ ...plan, reservations: new Map(plan.reservations).set(volume, share) });
      placed.add(index);
    } else {
      for (const node of cluster.values()) {
        const changed = act(node, kind, volume, size);
        if (changed !== node) write(changed);
      }
    }
    const broken = [...cluster.values()].flatMap(overCommitted);
    if (broken.length > 0) expect(broken).toEqual([]);
  }
  return placed.size;
}

test('no interleaving over-commits a pool, thin or thick, whatever the order in which migrations look and reserve, agents make and copy, and reservations end', () => {
  let places = 0;
  const step: fc.Arbitrary<Step> = fc.record({ kind: fc.constantFrom(...STEPS), volume: fc.nat({ max: VOLUMES - 1 }) });
  const size: fc.Arbitrary<Size> = fc.record({ extents: fc.integer({ min: 1, max: 9 }), thin: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 24 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom(1.5, 4),
      fc.array(size, { minLength: VOLUMES, maxLength: VOLUMES }),
      fc.array(step, { minLength: 100, maxLength: 300 }),
      (pools, ratio, sizes, steps) => {
        places += run(pools, ratio, sizes, steps);
      },
    ),
    { numRuns: 200 },
  );
  expect(places).toBeGreaterThan(400);
});

/** Two nodes are drained at once, and the only other one has room for half of what they have. */
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Cluster, eventually, POOL } from '../lab/support.ts';

const cluster = new Cluster();
const n3 = cluster.lab.machine('n3');

const MiB = 2 ** 20;
/** Two volumes of 64 MiB with 4 MiB of metadata each, and less than a third one. */
const ROOM_BYTES = 148 * MiB;

beforeEach(() => cluster.reset());

interface StorageNode {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly status?: {
    readonly pools?: Readonly<
      Record<
        string,
        {
          readonly freeCapacityBytes: number;
          readonly arriving?: readonly { readonly volume: string; readonly bytes: number }[];
          readonly volumes?: readonly string[];
        }
      >
    >;
  };
}

const poolOf = ({ status }: StorageNode) => status?.pools?.[POOL];

/** Leaves so much of the pool's group free, as its agent reports it. @returns what frees all of it. */
async function leaveRoom(): Promise<() => Promise<void>> {
  const free = async () => {
    await n3.exec(`! lvs ${POOL}/filler > /dev/null 2>&1 || lvremove -qq --yes ${POOL}/filler`);
  };
  onTestFinished(free);
  const { stdout } = await n3.exec(['vgs', '--noheadings', '--nosuffix', '--units', 'b', '-o', 'vg_free', POOL]);
  await n3.exec(`lvcreate -qq --yes --size ${Number(stdout.trim()) - ROOM_BYTES}b --name filler ${POOL}`);
  await eventually(
    'the agent of n3 that reports the room left',
    30,
    async () => poolOf(await n3Object())?.freeCapacityBytes === ROOM_BYTES,
  );
  return free;
}

const n3Object = () => cluster.get<StorageNode>('localstoragenode', 'n3');

/** What n3 has promised beyond what it has, in bytes. */
function overCommittedBytes(node: StorageNode): number {
  const { freeCapacityBytes = 0, arriving = [], volumes = [] } = poolOf(node) ?? {};
  const prefix = 'rehome.io/reserve-';
  const reserved = Object.entries(node.metadata.annotations ?? {}).filter(([key]) => key.startsWith(prefix));
  const outstanding = reserved
    .map(([key, value]) => ({ volume: key.slice(prefix.length), bytes: (JSON.parse(value) as { bytes: number }).bytes }))
    .filter(({ volume }) => !volumes.includes(volume))
    .map(({ volume, bytes }) => Math.max(0, bytes - (arriving.find((share) => share.volume === volume)?.bytes ?? 0)));
  return outstanding.reduce((sum, bytes) => sum + bytes, 0) - freeCapacityBytes;
}

test('two evictions towards one small pool never over-commit it, say what they wait for, and end when there is room', async () => {
  const hashes = new Map<string, string>();
  for (const node of ['n1', 'n2']) {
    for (const name of [`${node}-a`, `${node}-b`]) hashes.set(name, await cluster.filledVolume(name, node, '64Mi'));
  }
  const free = await leaveRoom();
  const names = [...hashes.keys()];
  const phases = async () => Promise.all(names.map(async (name) => (await cluster.migration(name))?.status));

  await Promise.all(['n1', 'n2'].map((node) => cluster.cordon(node)));
  await eventually('two volumes that have moved, and two that wait for room', 240, async () => {
    expect(overCommittedBytes(await n3Object())).toBeLessThanOrEqual(0);
    const now = await phases();
    expect(now.map((status) => status?.phase)).not.toContain('NeedsAttention');
    const count = (phase: string) => now.filter((status) => status?.phase === phase).length;
    return count('Completed') === 2 && count('Reserving') === 2;
  });
  for (const status of await phases()) {
    if (status?.phase === 'Reserving') expect(status.message).toMatch(/^no node can take the volume: .*n3 PoolFull/);
  }
  const waiting = await Promise.all(['n1', 'n2'].map((node) => cluster.evacuated(node)));
  expect(waiting.map((condition) => condition?.status)).toContain('False');

  await free();
  await Promise.all(['n1', 'n2'].map((node) => cluster.waitUntilEvacuated(node, 240)));
  for (const [name, sha256] of hashes) {
    expect(await cluster.nodeOf(name)).toBe('n3');
    expect(await cluster.sha256(name, 'n3')).toBe(sha256);
  }
});

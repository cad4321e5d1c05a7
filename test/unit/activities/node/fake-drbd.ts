/**
 * DRBD 8.4 as the activities know it, on two nodes: resources, roles, the handshake, a sync that takes one tick. It is strict where the real one
 * silently destroys data: ends that meet without a Primary fail the test.
 */
import type { FakePeer } from './fake-drbd9.ts';
import { type FakeNode, refuse } from './fake-node.ts';

export interface FakeResource {
  readonly name: string;
  minor?: number;
  role: 'Primary' | 'Secondary';
  paused: boolean;
  /** Name of the logical volume whose bits it serves; undefined: diskless. */
  volume?: string;
  metadata?: FakeMetadata;
  endpoint?: { readonly local: string; readonly peer: string; readonly secret: string };
  /** On a node with DRBD 9. */
  peer?: FakePeer;
  connection: string;
  readKib: number;
  /** A sync into it leaves out zeros. */
  thin?: boolean;
}

/** What DRBD keeps on disk, in the metadata volume. */
export interface FakeMetadata {
  disk: 'Inconsistent' | 'UpToDate';
  outOfSyncKib: number;
  clean: boolean;
}

/** Commands of drbdsetup, by name: arguments as the real one has them. */
export function drbdsetup(node: FakeNode, args: readonly string[]): string {
  const [command, first = '', second = '', third = ''] = args;
  switch (command) {
    case 'events2':
      return events2(node);
    case 'new-resource':
      if (node.resources.has(first)) refuse(10, '(143) Resource already exists');
      node.resources.set(first, { name: first, role: 'Secondary', paused: false, connection: 'StandAlone', readKib: 0 });
      return '';
    case 'new-minor':
      if ([...node.resources.values()].some(({ minor }) => minor === Number(second))) refuse(10, '(161) Minor or volume exists already');
      node.resources.get(first)!.minor = Number(second);
      return '';
    case 'attach':
      attach(node, byMinor(node, first), args);
      return '';
    case 'primary':
      Object.assign(byMinor(node, first), { role: 'Primary' });
      byMinor(node, first).metadata!.disk = 'UpToDate';
      return '';
    case 'pause-sync':
    case 'resume-sync': {
      const resource = byMinor(node, first);
      if (resource.paused === (command === 'pause-sync')) {
        refuse(
          10,
          `20000: Failure: ${resource.paused ? '(134) Sync-pause flag is already set' : '(135) Sync-pause flag is already cleared'}`,
        );
      }
      resource.paused = command === 'pause-sync';
      return '';
    }
    case 'connect': {
      const secret = args.find((arg) => arg.startsWith('--shared-secret='))!;
      const resource = node.resources.get(first)!;
      if (resource.connection !== 'StandAlone') refuse(10, '(125) Device has a net-config');
      Object.assign(resource, { endpoint: { local: second, peer: third, secret }, connection: 'WFConnection' });
      return '';
    }
    case 'disconnect': {
      const resource = [...node.resources.values()].find(({ endpoint }) => endpoint?.local === first && endpoint.peer === second);
      if (!resource || resource.connection === 'StandAlone') refuse(10, '(162) unknown connection');
      hangUp(node, resource!);
      resource!.connection = 'StandAlone';
      return '';
    }
    case 'disk-options':
      byMinor(node, first);
      return '';
    case 'verify':
      verify(node, byMinor(node, first), args);
      return '';
    case 'down':
      down(node, first);
      return '';
    default:
      throw new Error(`the fake drbdsetup does not know ${args.join(' ')}`);
  }
}

export function drbdmeta(node: FakeNode, path: string, command: string): string {
  const volume = node.volumeOfPath(path);
  if (command === 'create-md') node.metadata.set(volume, { disk: 'Inconsistent', outOfSyncKib: Number.POSITIVE_INFINITY, clean: true });
  else if (node.metadata.has(volume)) node.metadata.get(volume)!.clean = true;
  else refuse(255, 'no valid meta-data found');
  return '';
}

/** One step of time: waiting ends meet, and a sync that is not paused ends. */
export function tickDrbd(nodes: readonly FakeNode[]): void {
  for (const node of nodes) {
    for (const resource of node.resources.values()) {
      const peer = peerOf(node, resource);
      if (resource.connection === 'WFConnection' && peer?.connection === 'WFConnection') meet(resource, peer);
      else if (replicationOf(node, resource) === 'SyncSource') finishSync(node, resource);
    }
  }
}

/** What the connected pair does, as this end says it. */
export function replicationOf(node: FakeNode, resource: FakeResource): string {
  const peer = peerOf(node, resource);
  if (resource.connection !== 'Connected' || !peer) return resource.connection;
  if (outOfSyncKib(node, resource) === 0 && resource.metadata?.disk === peer.metadata?.disk) return 'Connected';
  const side = resource.role === 'Primary' ? 'S' : 'T';
  return resource.paused || peer.paused ? `PausedSync${side}` : side === 'S' ? 'SyncSource' : 'SyncTarget';
}

export function outOfSyncKib(node: FakeNode, resource: FakeResource): number {
  return Math.min(resource.metadata?.outOfSyncKib ?? 0, sizeKib(node, resource));
}

export function peerOf(node: FakeNode, { endpoint }: FakeResource): FakeResource | undefined {
  const candidates = node.network.flatMap(({ resources }) => [...resources.values()]);
  return candidates.find((other) => endpoint && other.endpoint?.local === endpoint.peer && other.endpoint.peer === endpoint.local);
}

/**
 * Reads all that it is to compare, and ends at once. What somebody is writing DRBD 9 leaves out, on either side: the end that has begun the verify hears
 * of it unless it is 8.4, the other one where that skipped it.
 */
export function verify(node: FakeNode, resource: FakeResource, args: readonly string[]): void {
  const peer = peerOf(node, resource)!;
  const other = node.network.find(({ resources }) => resources.get(peer.name) === peer)!;
  const [start = 0, stop] = ['--start=', '--stop=']
    .map((option) => args.find((arg) => arg.startsWith(option))?.slice(option.length))
    .map(numberIn);
  peer.readKib += stop === undefined ? sizeKib(node, resource) : (stop - start) / 2;
  const nines = [node, other].filter(({ drbd }) => drbd === 9);
  const busy = nines.flatMap((end) => end.busy.splice(0));
  for (const [end, { minor }] of [
    [node, resource],
    [other, peer],
  ] as const) {
    if (end.drbd !== 9) continue;
    const say = (line: string) => end.kernelLog.push(`drbd ${resource.name}/0 drbd${minor} peer: ${line}`);
    if (end === node) say(`Starting Online Verify from sector ${start}`);
    for (const range of busy) say(`Skipped verify, too busy: start=${range.startSector}, size=${range.sectors} (sectors)`);
    const blocks = busy.reduce((sum, { sectors }) => sum + sectors / 8, 0);
    say(`Online verify done${blocks > 0 ? ` but ${blocks} 4k blocks skipped` : ''} (total 1 sec; paused 0 sec; 65536 K/sec)`);
  }
}

const numberIn = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));

function attach(node: FakeNode, resource: FakeResource, args: readonly string[]): void {
  const [, , dataPath, metadataPath] = args as [string, string, string, string];
  const metadata = node.metadata.get(node.volumeOfPath(metadataPath));
  if (!metadata?.clean) refuse(10, '(165) Unclean meta-data found.');
  // The real one forgets the wish where the device takes more than 4 GiB at once.
  const isLimited = [...node.written].some(([path, text]) => path.endsWith('/queue/discard_max_bytes') && Number(text) < 2 ** 32);
  const thin = isLimited && args.some((arg) => arg.startsWith('--rs-discard-granularity='));
  Object.assign(resource, { volume: node.volumeOfPath(dataPath), metadata, readKib: 0, thin });
  node.openPath(dataPath, 1);
}

function meet(one: FakeResource, other: FakeResource): void {
  if (one.endpoint!.secret !== other.endpoint!.secret) {
    one.connection = 'StandAlone';
    other.connection = 'StandAlone';
    return;
  }
  const primaries = [one, other].filter(({ role }) => role === 'Primary');
  if (primaries.length !== 1) throw new Error(`TRAP: ${primaries.length} Primaries meet: one of them is overwritten`);
  const outOfSync = Math.max(one.metadata!.outOfSyncKib, other.metadata!.outOfSyncKib);
  for (const end of [one, other]) {
    end.connection = 'Connected';
    end.metadata!.outOfSyncKib = outOfSync;
  }
}

function finishSync(node: FakeNode, source: FakeResource): void {
  const target = peerOf(node, source)!;
  const targetNode = node.network.find(({ resources }) => resources.get(target.name) === target)!;
  const [from, to] = [node.volumes.get(source.volume!)!, targetNode.volumes.get(target.volume!)!];
  to.content = from.content;
  if (to.thinPool) to.dataPercent = target.thin ? (from.dataPercent ?? 100) : 100;
  for (const end of [source, target]) Object.assign(end.metadata!, { disk: 'UpToDate', outOfSyncKib: 0 });
}

function hangUp(node: FakeNode, resource: FakeResource): void {
  const peer = peerOf(node, resource);
  if (resource.connection === 'Connected' && peer) peer.connection = 'WFConnection';
}

function down(node: FakeNode, name: string): void {
  const resource = node.resources.get(name);
  if (!resource) throw refuse(10, '(158) Unknown resource');
  if (node.isMinorHeld(resource.minor)) refuse(11, '(-12) Device is held open by someone');
  hangUp(node, resource);
  if (resource.volume) node.closeVolumeOf(resource);
  node.resources.delete(name);
}

function byMinor(node: FakeNode, minor: string): FakeResource {
  const resource = [...node.resources.values()].find((candidate) => candidate.minor === Number(minor));
  if (!resource) refuse(10, '(127) Device minor not allocated');
  return resource!;
}

function sizeKib(node: FakeNode, { volume }: FakeResource): number {
  return volume === undefined ? 0 : node.volumes.get(volume)!.sizeBytes / 1024;
}

function events2(node: FakeNode): string {
  const lines = [...node.resources.values()].flatMap(({ name, role, minor }) => [
    `exists resource name:${name} role:${role} suspended:no write-ordering:flush`,
    ...(minor === undefined ? [] : [`exists device name:${name} volume:0 minor:${minor} disk:Whatever`]),
  ]);
  return [...lines, 'exists -', ''].join('\n');
}

/** DRBD 9 as the activities know it: other commands, other answers and stricter peers, over the resources of `fake-drbd.ts`, so that it meets 8.4. */
import { drbdsetup, type FakeResource, outOfSyncKib, peerOf, replicationOf, verify } from './fake-drbd.ts';
import { type FakeNode, refuse } from './fake-node.ts';

/** What a connection is until it is connected. */
export interface FakePeer {
  readonly id: string;
  secret: string;
  path?: { readonly local: string; readonly peer: string };
}

const SAFE = ['--auto-promote=no', '--quorum=off'];

/** Commands of drbdsetup, by name: arguments as the real one has them. */
export function drbdsetup9(node: FakeNode, args: readonly string[]): string {
  const [command, name = '', second = '', third = '', fourth = ''] = args;
  const old = (...arguments_: string[]) => drbdsetup(node, arguments_);
  switch (command) {
    case 'status':
      return status(node);
    case 'events2':
      return events2(node);
    case 'new-resource':
      if (!SAFE.every((option) => args.includes(option))) throw new Error('TRAP: whoever opens the device promotes it');
      return old('new-resource', name);
    case 'new-minor':
    case 'attach':
    case 'down':
      if (args.some((arg) => arg.startsWith('--') && !arg.startsWith('--rs-discard-granularity='))) refuse(20, 'usage');
      return drbdsetup(node, args);
    case 'primary':
      return old('primary', minorOf(node, name), '--force');
    case 'new-peer':
      if (resourceOf(node, name).peer) refuse(10, '(170) Peer exists already');
      if (args.some((arg) => arg.startsWith('--unplug-watermark'))) refuse(20, 'usage');
      resourceOf(node, name).peer = { id: second, secret: secretIn(args) };
      return '';
    case 'net-options':
      peerNamed(node, name, second).secret = secretIn(args);
      return '';
    case 'new-path':
      if (peerNamed(node, name, second).path)
        refuse(10, '(173) Combination of local address(port) and remote address(port) already in use');
      peerNamed(node, name, second).path = { local: third, peer: fourth };
      return '';
    case 'del-path':
      delete peerNamed(node, name, second).path;
      return '';
    case 'peer-device-options':
      peerNamed(node, name, second);
      return '';
    case 'pause-sync':
    case 'resume-sync':
      peerNamed(node, name, second);
      return old(command, minorOf(node, name));
    case 'connect': {
      const { path, secret } = peerNamed(node, name, second);
      if (!path) throw new Error('connect without a path');
      return old('connect', name, path.local, path.peer, secret);
    }
    case 'disconnect': {
      peerNamed(node, name, second);
      const { endpoint, connection } = resourceOf(node, name);
      return connection === 'StandAlone' ? '' : old('disconnect', endpoint!.local, endpoint!.peer);
    }
    case 'verify':
      peerNamed(node, name, second);
      verify(node, resourceOf(node, name), args);
      return '';
    default:
      throw new Error(`the fake drbdsetup of DRBD 9 does not know ${args.join(' ')}`);
  }
}

const secretIn = (args: readonly string[]): string => args.find((arg) => arg.startsWith('--shared-secret='))!;

function resourceOf(node: FakeNode, name: string): FakeResource {
  return node.resources.get(name) ?? refuse(10, '(158) Unknown resource');
}

const minorOf = (node: FakeNode, name: string): string => String(resourceOf(node, name).minor);

function peerNamed(node: FakeNode, name: string, id: string): FakePeer {
  const { peer } = resourceOf(node, name);
  return peer?.id === id ? peer : refuse(10, '(162) Invalid configuration request\nunknown connection');
}

function events2(node: FakeNode): string {
  const lines = [...node.resources.values()].flatMap(({ name, peer }) => [
    `exists resource name:${name} role:Whatever`,
    ...(peer ? [`exists connection name:${name} peer-node-id:${peer.id} conn-name:peer connection:Whatever`] : []),
    ...(peer?.path
      ? [`exists path name:${name} peer-node-id:${peer.id} conn-name:peer local:${peer.path.local} peer:${peer.path.peer}`]
      : []),
  ]);
  return [...lines, 'exists -', ''].join('\n');
}

function status(node: FakeNode): string {
  return JSON.stringify([...node.resources.values()].map((resource) => statusOf(node, resource)));
}

function statusOf(node: FakeNode, resource: FakeResource): unknown {
  const { name, role, minor, metadata, readKib, peer } = resource;
  const size = resource.volume === undefined ? 0 : node.volumes.get(resource.volume)!.sizeBytes / 1024;
  const device = { volume: 0, minor, 'disk-state': metadata?.disk ?? 'Diskless', size, read: readKib };
  const connected = resource.connection === 'Connected';
  const other = connected ? peerOf(node, resource) : undefined;
  const replication = replicationOf(node, resource);
  const peerDevice = {
    volume: 0,
    'replication-state': connected ? replication.replace(/^Connected$/, 'Established') : 'Off',
    'peer-disk-state': other ? (other.metadata?.disk ?? 'Diskless') : 'DUnknown',
    'out-of-sync': outOfSyncKib(node, resource),
  };
  const connection = {
    'peer-node-id': Number(peer?.id),
    'connection-state': resource.connection.replace('WFConnection', 'Connecting'),
    peer_devices: minor === undefined ? [] : [peerDevice],
  };
  return { name, role, devices: minor === undefined ? [] : [device], connections: peer ? [connection] : [] };
}

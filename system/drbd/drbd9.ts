/**
 * DRBD 9, LINBIT's module, from 9.1 on, through drbdsetup's and drbdmeta's own commands and no configuration file.
 *
 * Against 8.4: peers are resources' own, known by node ids, and stay known while they are not connected; nothing is promoted by being opened, and no
 * quorum is asked for, because it is told so. A verify skips what is being written (verify-log.ts), and a new handshake may forget what a verify found.
 * The other end may be either version: only this node's own commands are given here.
 *
 * Sources: drbdsetup-9.0(8), drbdmeta-9.0(8), drbd_nl.c of DRBD 9.3; order, options and a pair with 8.4 were tried with 9.3.3 on kernel 6.1.
 */
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';
import type { Host } from '../host.ts';
import { type PeerPath, parsePeers } from './events2.ts';
import type { LocalMirror, MirrorDriver, MirrorPair, MirrorState } from './mirror-driver.ts';
import { addressesOf, controllerOptions, maxRateOption, netOptions, thinOptions, verifyBounds } from './options.ts';
import { isRefusedAs, PAUSE_FLAG_AS_WANTED, UNKNOWN_CONNECTION, unlessRefusedAs } from './refusal.ts';
import { parseStatusJson, type StatusDevice, type StatusResource } from './status-json.ts';
import { logPosition, skippedByVerify } from './verify-log.ts';

/** A resource's own numbers, kept in its metadata. */
const NODE_IDS: Readonly<Record<MirrorRole, string>> = { source: '0', target: '1' };
/** A resource of ours has one device. */
const VOLUME = '0';
/** For bitmaps of as many peers there is room in the metadata. */
const PEER_SLOTS = '1';

/** `(175) …: Need protocol level 120 to initiate bitmap based resync`: the peer is 8.4. */
const PROTOCOL_TOO_OLD = /\(175\)/;

export function createDrbd9(host: Host, settings: SyncSettings): MirrorDriver {
  const setup = async (...args: string[]): Promise<void> => void (await host.run('drbdsetup', args));
  const meta = async (minor: number, device: string, ...command: string[]): Promise<void> => {
    await host.run('drbdmeta', ['--force', String(minor), 'v09', device, 'flex-external', ...command]);
  };
  const readStatus = async () => parseStatusJson((await host.run('drbdsetup', ['status', '--json', '--statistics'])).stdout);

  return {
    observe: async () =>
      (await readStatus()).map((resource) => {
        const [device] = resource.devices;
        return { resource: resource.name, ...(device && { minor: device.minor, state: toState(resource, device) }) };
      }),
    listMinors: async () => (await readStatus()).flatMap(({ devices }) => devices.map(({ minor }) => minor)),
    observeMinor: async (minor) => {
      const states = (await readStatus()).flatMap((resource) =>
        resource.devices.filter((device) => device.minor === minor).map((device) => toState(resource, device)),
      );
      return states[0];
    },
    writeMetadata: (minor, device) => meta(minor, device, 'create-md', PEER_SLOTS),
    applyActivityLog: (minor, device) => meta(minor, device, 'apply-al'),
    createResource: ({ resource, role }) => setup('new-resource', resource, NODE_IDS[role], '--auto-promote=no', '--quorum=off'),
    createMinor: ({ resource, minor }) => setup('new-minor', resource, String(minor), VOLUME),
    attach: ({ minor }, { data, metadata, thin }) => setup('attach', String(minor), data, metadata, 'flexible', ...thinOptions(thin)),
    promoteByForce: ({ resource }) => setup('primary', resource, '--force'),
    connect: async (pair, sharedSecret, { paused }) => {
      await introducePeer(host, settings, pair, sharedSecret);
      if (paused) await unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('pause-sync', ...peerDeviceOf(pair)));
      await setup('connect', ...peerOf(pair));
    },
    resumeSync: (mirror) => unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('resume-sync', ...peerDeviceOf(mirror))),
    controlSync: (mirror, wanted) => setup('peer-device-options', ...peerDeviceOf(mirror), ...controllerOptions(wanted)),
    limitRate: (mirror, bytesPerSecond) => setup('peer-device-options', ...peerDeviceOf(mirror), maxRateOption(bytesPerSecond)),
    disconnect: (pair) => unlessRefusedAs(UNKNOWN_CONNECTION, setup('disconnect', ...peerOf(pair), '--force')),
    startVerify: (mirror, range) => setup('verify', ...peerDeviceOf(mirror), ...verifyBounds(range)),
    verifyLogPosition: async () => logPosition(await host.readKernelLog()),
    skippedByVerify: async ({ minor }, since) => skippedByVerify(await host.readKernelLog(), minor, since),
    repair: async (pair) => {
      const invalidate = (...options: string[]) => setup('invalidate-remote', ...peerDeviceOf(pair), ...options);
      try {
        await invalidate('--reset-bitmap=no');
      } catch (error) {
        if (!isRefusedAs(PROTOCOL_TOO_OLD, error)) throw error;
        // With 8.4 all of it is sent, or nothing.
        await invalidate();
      }
    },
    down: (resource) => setup('down', resource),
  };
}

/**
 * Tells DRBD who the other end is, where it does not know, and by which addresses it is reached now. A peer that is known may be left over from a
 * broken-off step, without a path or with that of an earlier one; it is not forgotten, because the flag that pauses the sync would be forgotten with it.
 */
async function introducePeer(host: Host, settings: SyncSettings, pair: MirrorPair, sharedSecret: string): Promise<void> {
  const withSecret = async (...args: string[]): Promise<void> => {
    await host.run('drbdsetup', [...args, `--shared-secret=${sharedSecret}`], { secrets: [sharedSecret] });
  };
  const { stdout } = await host.run('drbdsetup', ['events2', '--now', '--statistics']);
  const nodeId = Number(peerNodeId(pair));
  const known = parsePeers(stdout).find((peer) => peer.resource === pair.resource && peer.nodeId === nodeId);
  const [local, peer] = addressesOf(pair);
  const isCurrent = (path: PeerPath) => path.local === local && path.peer === peer;

  if (!known) await withSecret('new-peer', ...peerOf(pair), `--_name=${peerRole(pair)}`, ...netOptions(settings));
  for (const path of known?.paths.filter((path) => !isCurrent(path)) ?? []) {
    await host.run('drbdsetup', ['del-path', ...peerOf(pair), path.local, path.peer]);
  }
  if (!known?.paths.some(isCurrent)) await host.run('drbdsetup', ['new-path', ...peerOf(pair), local, peer]);
  // The key from which the secret is made may have been rotated.
  if (known) await withSecret('net-options', ...peerOf(pair));
  await host.run('drbdsetup', ['peer-device-options', ...peerDeviceOf(pair), ...controllerOptions(settings)]);
}

const peerRole = ({ role }: LocalMirror): MirrorRole => (role === 'source' ? 'target' : 'source');
const peerNodeId = (mirror: LocalMirror): string => NODE_IDS[peerRole(mirror)];
/** How drbdsetup names the connection to the other end, and the other end's copy. */
const peerOf = (mirror: LocalMirror): [string, string] => [mirror.resource, peerNodeId(mirror)];
const peerDeviceOf = (mirror: LocalMirror): [string, string, string] => [...peerOf(mirror), VOLUME];

/** A peer that DRBD has not been told of is one of which nothing is known to be in sync. */
function toState({ role, connections }: StatusResource, device: StatusDevice): MirrorState {
  const [connection] = connections;
  const peer = connection?.peerDevices.find(({ volume }) => volume === device.volume);
  return {
    role,
    disk: device.disk,
    connection: connection?.state ?? 'StandAlone',
    replication: peer?.replication ?? 'Off',
    peerDisk: peer?.peerDisk ?? 'DUnknown',
    outOfSyncKib: peer?.outOfSyncKib ?? device.sizeKib,
    readKib: device.readKib,
    ...(peer?.position && { position: peer.position }),
  };
}

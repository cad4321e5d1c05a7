/**
 * DRBD 8.4, the module of mainline kernels, through drbdsetup's and drbdmeta's own commands and no configuration file: a mirror lives in the
 * kernel alone, so that nothing of it starts by itself after a reboot.
 *
 * Sources: drbdsetup-8.4(8), drbdmeta-8.4(8); the order and the options were tried on kernel 6.1.
 */
import { DEFAULT_SYNC_SETTINGS, type SyncSettings } from '../../core/contracts/sync-settings.ts';
import { SECTOR_BYTES } from '../block-device.ts';
import { CommandError } from '../command.ts';
import type { Host } from '../host.ts';
import { parseEvents2 } from './events2.ts';
import type { MirrorDriver, MirrorPair, MirrorState, SocketAddress } from './mirror-driver.ts';
import { type ProcDrbdDevice, parseProcDrbd } from './proc-drbd.ts';

const KIB = 1024;
/** DRBD's unit of max-buffers, whatever the kernel's pages are. */
const PAGE_BYTES = 4096;

/** Rates in KiB/s, the fill target in sectors; c-plan-ahead, how far the sync's controller looks ahead, in 0.1 s. */
const diskOptions = ({ maxRateBytesPerSecond, minRateBytesPerSecond, fillTargetBytes }: SyncSettings): string[] => [
  '--c-plan-ahead=20',
  `--c-max-rate=${Math.floor(maxRateBytesPerSecond / KIB)}`,
  `--c-fill-target=${Math.floor(fillTargetBytes / SECTOR_BYTES)}`,
  `--c-min-rate=${Math.floor(minRateBytesPerSecond / KIB)}`,
];

/**
 * Time limits by which a dead peer holds a write for 3 s at most: a lost link is seen after ping-int + ping-timeout (2 s + 1 s), a hung disk after
 * timeout x ko-count (1 s x 3). timeout and ping-timeout are in 0.1 s. Shorter ones take a peer that is only busy for dead. Buffers for what arrives
 * are counted in pages.
 */
const netOptions = ({ bufferBytes, socketBufferBytes }: SyncSettings): string[] => [
  '--protocol=C',
  `--max-buffers=${Math.floor(bufferBytes / PAGE_BYTES)}`,
  // With a higher one the same settings reach the full rate at times, and a third of it at others.
  '--unplug-watermark=16',
  `--sndbuf-size=${socketBufferBytes}`,
  `--rcvbuf-size=${socketBufferBytes}`,
  '--connect-int=1',
  '--ping-int=2',
  '--ping-timeout=10',
  '--timeout=10',
  '--ko-count=3',
  '--verify-alg=crc32c',
  '--cram-hmac-alg=sha256',
];

/** drbdsetup's exit code for a request the kernel refused; its text begins with the reason. */
const REFUSED = 10;
const UNKNOWN_CONNECTION = /\(162\)/;
/** drbdsetup(8) of 8.4, as printed: `(134) Sync-pause flag is already set`, `(135) Sync-pause flag is already cleared`. */
const PAUSE_FLAG_AS_WANTED = /Sync-pause flag is already (set|cleared)/;

/** The connection states of 8.4 in which two nodes are not connected; any other says what the connected pair does. */
const UNCONNECTED = [
  'Unconfigured',
  'StandAlone',
  'Disconnecting',
  'Unconnected',
  'Timeout',
  'BrokenPipe',
  'NetworkFailure',
  'ProtocolError',
  'TearDown',
  'WFConnection',
  'WFReportParams',
];

export function createDrbd84(host: Host, settings: SyncSettings = DEFAULT_SYNC_SETTINGS): MirrorDriver {
  const setup = async (...args: string[]): Promise<void> => void (await host.run('drbdsetup', args));
  const meta = async (minor: number, device: string, command: string): Promise<void> => {
    await host.run('drbdmeta', ['--force', String(minor), 'v08', device, 'flex-external', command]);
  };
  const readDevices = async () => parseProcDrbd((await host.readText('/proc/drbd')) ?? '').devices;

  const driver: MirrorDriver = {
    observe: async () => {
      const { stdout } = await host.run('drbdsetup', ['events2', '--now', '--statistics']);
      const devices = await readDevices();
      return parseEvents2(stdout).map((observed) => {
        const device = observed.minor === undefined ? undefined : devices.get(observed.minor);
        return { ...observed, ...(device && { state: toState(device) }) };
      });
    },
    listMinors: async () => [...(await readDevices()).keys()],
    observeMinor: async (minor) => {
      const device = (await readDevices()).get(minor);
      return device && toState(device);
    },
    writeMetadata: (minor, device) => meta(minor, device, 'create-md'),
    applyActivityLog: (minor, device) => meta(minor, device, 'apply-al'),
    createResource: ({ resource }) => setup('new-resource', resource),
    createMinor: ({ resource, minor }) => setup('new-minor', resource, String(minor), '0'),
    attach: ({ minor }, { data, metadata }) => setup('attach', String(minor), data, metadata, 'flexible', ...diskOptions(settings)),
    promoteByForce: ({ minor }) => setup('primary', String(minor), '--force'),
    pauseSync: ({ minor }) => unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('pause-sync', String(minor))),
    resumeSync: ({ minor }) => unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('resume-sync', String(minor))),
    connect: async (pair, sharedSecret) => {
      const args = ['connect', pair.resource, ...addressesOf(pair), ...netOptions(settings), `--shared-secret=${sharedSecret}`];
      await host.run('drbdsetup', args, { secrets: [sharedSecret] });
    },
    disconnect: (pair) => unlessRefusedAs(UNKNOWN_CONNECTION, setup('disconnect', ...addressesOf(pair), '--force=yes')),
    // Without --start it would go on where an earlier verify was broken off.
    startVerify: ({ minor }) => setup('verify', String(minor), '--start=0'),
    repair: async (pair, sharedSecret) => {
      // The handshake of a new connection sends every block that is marked out of sync, on 8.4 also where nothing was written since.
      await driver.disconnect(pair);
      await driver.connect(pair, sharedSecret);
    },
    down: (resource) => setup('down', resource),
  };
  return driver;
}

/** Takes a refusal for success where it says that things are as they were wanted. */
async function unlessRefusedAs(message: RegExp, command: Promise<void>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (!(error instanceof CommandError && error.exitCode === REFUSED && message.test(error.stderr))) throw error;
  }
}

function toState({ connectionState, flags, position, ...device }: ProcDrbdDevice): MirrorState {
  const unconnected = UNCONNECTED.includes(connectionState);
  const idle = connectionState === 'Connected' ? 'Established' : connectionState;
  return {
    role: device.role,
    disk: device.disk,
    connection: connectionState === 'Unconfigured' ? 'StandAlone' : unconnected ? connectionState : 'Connected',
    replication: unconnected ? 'Off' : idle,
    peerDisk: device.peerDisk,
    outOfSyncKib: device.outOfSyncKib,
    syncPausedHere: flags[3] === 'u',
    readKib: device.readKib,
    ...(position && { position }),
  };
}

const addressesOf = ({ local, peer }: MirrorPair): [string, string] => [format(local), format(peer)];
const format = ({ address, port }: SocketAddress): string => `ipv4:${address}:${port}`;

/**
 * DRBD 8.4, the module of mainline kernels, through drbdsetup's and drbdmeta's own commands and no configuration file: a mirror lives in the
 * kernel alone, so that nothing of it starts by itself after a reboot.
 *
 * Sources: drbdsetup-8.4(8), drbdmeta-8.4(8); the order and the options were tried on kernel 6.1.
 */
import { CommandError } from '../command.ts';
import type { Host } from '../host.ts';
import { parseEvents2 } from './events2.ts';
import type { MirrorDriver, MirrorPair, MirrorState, SocketAddress } from './mirror-driver.ts';
import { type ProcDrbdDevice, parseProcDrbd } from './proc-drbd.ts';

/**
 * The sync controller: look ahead 2 s, up to 4 GB/s, 10 MiB in flight, and never below 10 MiB/s for the sake of an application. The defaults reach a
 * third of what a plain copy does, and fall to 250 KiB/s as soon as anything writes.
 */
const DISK_OPTIONS = ['--c-plan-ahead=20', '--c-max-rate=4000000', '--c-fill-target=20480', '--c-min-rate=10M'];

/**
 * Buffers that fill the link (32 MiB of pages a mirror), and time limits by which a dead peer holds a write for 3 s at most: a lost link is seen
 * after ping-int + ping-timeout (2 s + 1 s), a hung disk after timeout x ko-count (1 s x 3). timeout and ping-timeout are in 0.1 s. Shorter ones
 * take a peer that is only busy for dead.
 */
const NET_OPTIONS = [
  '--protocol=C',
  '--max-buffers=8000',
  '--unplug-watermark=16',
  '--sndbuf-size=4M',
  '--rcvbuf-size=4M',
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

export function createDrbd84(host: Host): MirrorDriver {
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
    attach: ({ minor }, { data, metadata }) => setup('attach', String(minor), data, metadata, 'flexible', ...DISK_OPTIONS),
    promoteByForce: ({ minor }) => setup('primary', String(minor), '--force'),
    pauseSync: ({ minor }) => unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('pause-sync', String(minor))),
    resumeSync: ({ minor }) => unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('resume-sync', String(minor))),
    connect: async (pair, sharedSecret) => {
      const args = ['connect', pair.resource, ...addressesOf(pair), ...NET_OPTIONS, `--shared-secret=${sharedSecret}`];
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

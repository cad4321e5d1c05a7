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
import { parseProcDrbd } from './proc-drbd.ts';

/**
 * The sync controller: look ahead 2 s, up to 4 GB/s, 10 MiB in flight, and never below 10 MiB/s for the sake of an application. The defaults reach a
 * third of what a plain copy does, and fall to 250 KiB/s as soon as anything writes.
 */
const DISK_OPTIONS = ['--c-plan-ahead=20', '--c-max-rate=4000000', '--c-fill-target=20480', '--c-min-rate=10M'];

/**
 * Buffers that fill the link (32 MiB of pages a mirror), and time limits by which a dead peer holds a write for 2 to 3 s at most: a lost link is
 * seen after ping-int + ping-timeout (2 s + 0.5 s), a hung disk after timeout x ko-count (1 s x 2). timeout and ping-timeout are in 0.1 s.
 */
const NET_OPTIONS = [
  '--protocol=C',
  '--max-buffers=8000',
  '--unplug-watermark=16',
  '--sndbuf-size=4M',
  '--rcvbuf-size=4M',
  '--connect-int=1',
  '--ping-int=2',
  '--ping-timeout=5',
  '--timeout=10',
  '--ko-count=2',
  '--verify-alg=crc32c',
  '--cram-hmac-alg=sha256',
];

/** drbdsetup's exit code for a request the kernel refused; the text begins with the number of the reason in parentheses. */
const REFUSED = 10;
const UNKNOWN_CONNECTION = '(162)';

export function createDrbd84(host: Host): MirrorDriver {
  const setup = (...args: string[]) => host.run('drbdsetup', args);
  const meta = (minor: number, device: string, command: string) =>
    host.run('drbdmeta', ['--force', String(minor), 'v08', device, 'flex-external', command]);

  const driver: MirrorDriver = {
    observe: () => observe(host),
    writeMetadata: async (minor, device) => void (await meta(minor, device, 'create-md')),
    applyActivityLog: async (minor, device) => void (await meta(minor, device, 'apply-al')),
    createResource: async ({ resource }) => void (await setup('new-resource', resource)),
    createMinor: async ({ resource, minor }) => void (await setup('new-minor', resource, String(minor), '0')),
    attach: async ({ minor }, { data, metadata }) =>
      void (await setup('attach', String(minor), data, metadata, 'flexible', ...DISK_OPTIONS)),
    promoteByForce: async ({ minor }) => void (await setup('primary', String(minor), '--force')),
    demote: async ({ minor }) => void (await setup('secondary', String(minor))),
    pauseSync: async ({ minor }) => void (await setup('pause-sync', String(minor))),
    resumeSync: async ({ minor }) => void (await setup('resume-sync', String(minor))),
    connect: async (pair, sharedSecret) => {
      const args = ['connect', pair.resource, ...addressesOf(pair), ...NET_OPTIONS, `--shared-secret=${sharedSecret}`];
      await host.run('drbdsetup', args, { secrets: [sharedSecret] });
    },
    disconnect: async (pair) => {
      try {
        await setup('disconnect', ...addressesOf(pair), '--force=yes');
      } catch (error) {
        const gone = error instanceof CommandError && error.exitCode === REFUSED && error.stderr.includes(UNKNOWN_CONNECTION);
        if (!gone) throw error;
      }
    },
    startVerify: async ({ minor }) => void (await setup('verify', String(minor), '--start=0')),
    repair: async (pair, sharedSecret) => {
      // The handshake of a new connection sends every block that is marked out of sync, on 8.4 also where nothing was written since.
      await driver.disconnect(pair);
      await driver.connect(pair, sharedSecret);
    },
    down: async ({ resource }) => void (await setup('down', resource)),
    devicePath: (minor) => `/dev/drbd${minor}`,
  };
  return driver;
}

async function observe(host: Host): Promise<MirrorState[]> {
  const { stdout } = await host.run('drbdsetup', ['events2', '--now', '--statistics']);
  const positions = parseProcDrbd((await host.readText('/proc/drbd')) ?? '').devices;
  return parseEvents2(stdout).map(({ name, role, device, connection }) => {
    const position = device && positions.get(device.minor)?.progress;
    return {
      resource: name,
      role,
      ...(device && { device }),
      ...(connection && {
        connection: {
          state: connection.state,
          peerRole: connection.peerRole,
          replication: connection.replication,
          peerDisk: connection.peerDisk,
          syncPausedHere: connection.resyncSuspended.split(',').includes('user'),
          outOfSyncKib: connection.outOfSyncKib,
        },
      }),
      ...(position && { progress: { leftKib: position.leftKib, totalKib: position.totalKib, kibPerSecond: position.kibPerSecond ?? 0 } }),
    };
  });
}

const addressesOf = ({ local, peer }: MirrorPair): [string, string] => [format(local), format(peer)];
const format = ({ address, port }: SocketAddress): string => `ipv4:${address}:${port}`;

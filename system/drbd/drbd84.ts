/**
 * DRBD 8.4, the module of mainline kernels, through drbdsetup's and drbdmeta's own commands and no configuration file: a mirror lives in the
 * kernel alone, so that nothing of it starts by itself after a reboot.
 *
 * Sources: drbdsetup-8.4(8), drbdmeta-8.4(8); the order and the options were tried on kernel 6.1.
 */
import { DEFAULT_SYNC_SETTINGS, type SyncSettings } from '../../core/contracts/sync-settings.ts';
import type { Host } from '../host.ts';
import { parseEvents2 } from './events2.ts';
import type { MirrorDriver, MirrorState } from './mirror-driver.ts';
import { addressesOf, controllerOptions, maxRateOption, netOptions, thinOptions, verifyBounds } from './options.ts';
import { type ProcDrbdDevice, parseProcDrbd } from './proc-drbd.ts';
import { PAUSE_FLAG_AS_WANTED, UNKNOWN_CONNECTION, unlessRefusedAs } from './refusal.ts';

/** With a higher one the same settings reach the full rate at times, and a third of it at others. */
const UNPLUG_WATERMARK = '--unplug-watermark=16';

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
    attach: ({ minor }, { data, metadata, thin }) =>
      setup('attach', String(minor), data, metadata, 'flexible', ...controllerOptions(settings), ...thinOptions(thin)),
    promoteByForce: ({ minor }) => setup('primary', String(minor), '--force'),
    connect: async (pair, sharedSecret, { paused }) => {
      if (paused) await unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('pause-sync', String(pair.minor)));
      const options = [...netOptions(settings), UNPLUG_WATERMARK, `--shared-secret=${sharedSecret}`];
      await host.run('drbdsetup', ['connect', pair.resource, ...addressesOf(pair), ...options], { secrets: [sharedSecret] });
    },
    resumeSync: ({ minor }) => unlessRefusedAs(PAUSE_FLAG_AS_WANTED, setup('resume-sync', String(minor))),
    controlSync: ({ minor }, wanted) => setup('disk-options', String(minor), ...controllerOptions(wanted)),
    limitRate: ({ minor }, bytesPerSecond) => setup('disk-options', String(minor), maxRateOption(bytesPerSecond)),
    disconnect: (pair) => unlessRefusedAs(UNKNOWN_CONNECTION, setup('disconnect', ...addressesOf(pair), '--force=yes')),
    startVerify: ({ minor }, range) => setup('verify', String(minor), ...verifyBounds(range)),
    verifyLogPosition: async () => undefined,
    skippedByVerify: async () => undefined,
    repair: async (pair, sharedSecret) => {
      // The handshake of a new connection sends every block that is marked out of sync, on 8.4 also where nothing was written since.
      await driver.disconnect(pair);
      await driver.connect(pair, sharedSecret, { paused: false });
    },
    down: (resource) => setup('down', resource),
  };
  return driver;
}

function toState({ connectionState, position, ...device }: ProcDrbdDevice): MirrorState {
  const unconnected = UNCONNECTED.includes(connectionState);
  const idle = connectionState === 'Connected' ? 'Established' : connectionState;
  return {
    role: device.role,
    disk: device.disk,
    connection: connectionState === 'Unconfigured' ? 'StandAlone' : unconnected ? connectionState : 'Connected',
    replication: unconnected ? 'Off' : idle,
    peerDisk: device.peerDisk,
    outOfSyncKib: device.outOfSyncKib,
    readKib: device.readKib,
    ...(position && { position }),
  };
}

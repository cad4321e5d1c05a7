/** The DRBD module of this node's kernel: loaded, told not to call helper programs, and met with the driver for its version, 8.4 or 9. */
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';
import type { Host } from '../host.ts';
import { createDrbd9 } from './drbd9.ts';
import { createDrbd84 } from './drbd84.ts';
import type { MirrorDriver } from './mirror-driver.ts';
import { parseProcDrbd } from './proc-drbd.ts';

/** The kernel has no DRBD module, or one of a version this program cannot drive. */
export class DrbdModuleError extends Error {
  override readonly name = 'DrbdModuleError';
}

const USERMODE_HELPER = '/sys/module/drbd/parameters/usermode_helper';

/** Where nothing else uses DRBD there is no drbd.conf, and a helper that fails for want of it would break off the first sync. */
const HELPER_OFF = 'disabled';

/** 9.0 does not tell what its verifies skip. */
const NINE = /^9\.[1-9]/;
/** As 9 says it: `Transports (api:22): tcp (9.3.3)`. */
const TCP_TRANSPORT = /^Transports .*\btcp\b/m;

/** @throws {DrbdModuleError} */
export async function openMirrorDriver(host: Host, settings: SyncSettings): Promise<MirrorDriver> {
  const text = await loadModule(host);
  const { version } = parseProcDrbd(text);
  await disableHelper(host);
  if (version.startsWith('8.4.')) return createDrbd84(host, settings);
  if (!NINE.test(version)) {
    throw new DrbdModuleError(
      `the kernel's DRBD module is version ${version}; supported are 8.4, the kernel's own, and 9 from 9.1 on: load one of those`,
    );
  }
  // A module of its own, which the kernel may not find by itself where there is no modprobe at the path it knows.
  if (!TCP_TRANSPORT.test(text)) await host.run('modprobe', ['drbd_transport_tcp']);
  return createDrbd9(host, settings);
}

/** Loads the module where it is not, and says what /proc/drbd says. */
async function loadModule(host: Host): Promise<string> {
  const read = () => host.readText('/proc/drbd');
  let text = await read();
  if (text === undefined) {
    await host.run('modprobe', ['drbd', `usermode_helper=${HELPER_OFF}`]);
    text = await read();
  }
  if (text === undefined) throw new DrbdModuleError('the DRBD module was loaded, but there is no /proc/drbd');
  return text;
}

async function disableHelper(host: Host): Promise<void> {
  const helper = (await host.readText(USERMODE_HELPER))?.trim();
  if (helper !== HELPER_OFF) await host.writeText(USERMODE_HELPER, HELPER_OFF);
}

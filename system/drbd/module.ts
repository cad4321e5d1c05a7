/** The DRBD module of this node's kernel: loaded, told not to call helper programs, and met with the driver for its version. */
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';
import type { Host } from '../host.ts';
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

/** @throws {DrbdModuleError} */
export async function openMirrorDriver(host: Host, settings: SyncSettings): Promise<MirrorDriver> {
  const version = await loadModule(host);
  await disableHelper(host);
  if (version.startsWith('8.4.')) return createDrbd84(host, settings);
  throw new DrbdModuleError(`the kernel's DRBD module is version ${version}; only 8.4 is supported: load the kernel's own module`);
}

/** Loads the module where it is not, and says its version. */
async function loadModule(host: Host): Promise<string> {
  const read = () => host.readText('/proc/drbd');
  let text = await read();
  if (text === undefined) {
    await host.run('modprobe', ['drbd', `usermode_helper=${HELPER_OFF}`]);
    text = await read();
  }
  if (text === undefined) throw new DrbdModuleError('the DRBD module was loaded, but there is no /proc/drbd');
  return parseProcDrbd(text).version;
}

async function disableHelper(host: Host): Promise<void> {
  const helper = (await host.readText(USERMODE_HELPER))?.trim();
  if (helper !== HELPER_OFF) await host.writeText(USERMODE_HELPER, HELPER_OFF);
}

/**
 * Changes to the device mapper's devices.
 *
 * A table is swapped in two steps: `loadTable` puts the new one beside the live one, a resume makes it live. In between the device is suspended
 * without freezing the file system on it (`--nolockfs`): a freeze would first flush all dirty pages and lengthen the pause.
 */
import type { Host } from '../host.ts';
import { formatTable, type TableLine } from './devices.ts';

/** Sees to the nodes in /dev/mapper also where no udev runs. */
const WITH_NODES = '--verifyudev';

export async function createDevice(host: Host, name: string, table: readonly TableLine[]): Promise<void> {
  await host.run('dmsetup', ['create', WITH_NODES, name, '--table', formatTable(table)]);
}

export async function loadTable(host: Host, name: string, table: readonly TableLine[]): Promise<void> {
  await host.run('dmsetup', ['load', name, '--table', formatTable(table)]);
}

/** Takes a loaded table away that was not made live; without one nothing happens. */
export async function clearInactiveTable(host: Host, name: string): Promise<void> {
  await host.run('dmsetup', ['clear', name]);
}

/**
 * Suspended and resumed by one child process, which finishes its work also when this process is killed meanwhile: a device left suspended would
 * hold every write of the application. At its limit it is killed with the `dmsetup` it runs, and the kernel gives an unfinished suspend up.
 */
const SWAP_SCRIPT = 'dmsetup suspend --nolockfs "$0" || exit; [ $# = 0 ] || cat "$@"; dmsetup resume "$0"';

/** For a suspend to wait until all I/O under way has ended, while new I/O waits for it: a mirror gives a dead peer up within 3 s. */
const SWAP_SECONDS = 15;

/**
 * Makes the loaded table live. @param paths files in /sys to read while no I/O passes. @returns what stood in them, one after the other. Where it fails the
 * device may be suspended: whoever called looks, and resumes it.
 */
export async function swapTable(host: Host, name: string, paths: readonly string[] = []): Promise<string> {
  return (await host.run('sh', ['-c', SWAP_SCRIPT, name, ...paths], { timeoutSeconds: SWAP_SECONDS })).stdout;
}

/** Lets I/O pass again on a device that was left suspended, through the table it had: a loaded one must have been cleared. */
export async function resume(host: Host, name: string): Promise<void> {
  await host.run('dmsetup', ['resume', name]);
}

/** Somebody has the device open: a mount, a process, a device above it. */
export class DeviceInUseError extends Error {
  override readonly name = 'DeviceInUseError';
}

/** After it nobody can write through the device. @throws {DeviceInUseError} */
export async function removeDevice(host: Host, name: string): Promise<void> {
  const { exitCode, stderr } = await host.run('dmsetup', ['remove', WITH_NODES, name], { expectedExitCodes: [1] });
  if (exitCode === 0) return;
  if (/busy/i.test(stderr)) throw new DeviceInUseError(`device ${name} is in use`);
  throw new Error(`device ${name} could not be removed: ${stderr.trim()}`);
}

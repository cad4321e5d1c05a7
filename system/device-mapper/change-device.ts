/**
 * Changes to the device mapper's devices.
 *
 * A table is swapped in two steps: `loadTable` puts the new one beside the live one, `resume` makes it live. In between the device is suspended
 * without freezing the file system on it (`--nolockfs`): a freeze would first flush all dirty pages and lengthen the pause.
 */
import type { Host } from '../host.ts';
import { formatTable, type TableLine } from './devices.ts';

/** Creates a device and its node in /dev, which nobody else makes where no udev runs. */
export async function createDevice(host: Host, name: string, table: readonly TableLine[]): Promise<void> {
  await host.run('dmsetup', ['create', name, '--table', formatTable(table)]);
  await host.run('dmsetup', ['mknodes']);
}

export async function loadTable(host: Host, name: string, table: readonly TableLine[]): Promise<void> {
  await host.run('dmsetup', ['load', name, '--table', formatTable(table)]);
}

/** Takes a loaded table away that was not made live; without one nothing happens. */
export async function clearInactiveTable(host: Host, name: string): Promise<void> {
  await host.run('dmsetup', ['clear', name]);
}

/** Waits for the I/O under way. */
export async function suspend(host: Host, name: string): Promise<void> {
  await host.run('dmsetup', ['suspend', '--nolockfs', name]);
}

/** Makes a loaded table live, and lets I/O pass again. */
export async function resume(host: Host, name: string): Promise<void> {
  await host.run('dmsetup', ['resume', name]);
}

/** Somebody has the device open: a mount, a process, a device above it. */
export class DeviceInUseError extends Error {
  override readonly name = 'DeviceInUseError';
}

/** After it nobody can write through the device. @throws {DeviceInUseError} */
export async function removeDevice(host: Host, name: string): Promise<void> {
  const { exitCode, stderr } = await host.run('dmsetup', ['remove', name], { expectedExitCodes: [1] });
  if (exitCode === 0) return;
  if (/busy/i.test(stderr)) throw new DeviceInUseError(`device ${name} is in use`);
  throw new Error(`device ${name} could not be removed: ${stderr.trim()}`);
}

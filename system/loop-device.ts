/** Loop devices: files as block devices. Source of the options: losetup(8) of util-linux. */
import type { Host } from './host.ts';

/** By the file itself, whatever path it was opened by. undefined: the file has none. */
export async function findLoopDevice(host: Host, file: string): Promise<string | undefined> {
  const { stdout } = await host.run('losetup', ['--list', '--noheadings', '--output', 'NAME', '--associated', file]);
  return stdout.trim().split(/\s+/)[0] || undefined;
}

/** @returns the path of the new device. */
export async function attachLoopDevice(host: Host, file: string): Promise<string> {
  await host.run('modprobe', ['loop']);
  return (await host.run('losetup', ['--find', '--show', file])).stdout.trim();
}

export async function detachLoopDevice(host: Host, device: string): Promise<void> {
  await host.run('losetup', ['--detach', device]);
}

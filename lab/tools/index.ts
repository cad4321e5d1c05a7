/** Programs that the lab runs on the host, and the Debian packages that carry them. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from '../command.ts';

/** By program. What every Debian system has (dpkg-deb, tar, sh) is not listed. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  mksquashfs: 'squashfs-tools',
  cpio: 'cpio',
  depmod: 'kmod',
  'mkfs.ext4': 'e2fsprogs',
  xz: 'xz-utils',
  ip: 'iproute2',
  ssh: 'openssh-client',
  openssl: 'openssl',
  socat: 'socat',
};

/** Installs the packages of those programs that the host lacks, with apt-get. @throws with apt's own words. */
export async function ensureTools(progress: (message: string) => void): Promise<void> {
  const missing = missingPackages(process.env.PATH ?? '', existsSync);
  if (missing.length === 0) return;
  progress(`installing ${missing.join(', ')}`);
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['-qq', '-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '--no-install-recommends', ...missing];
  // Lists that are missing or outdated make the first attempt fail without having changed anything.
  await run('apt-get', install, { timeoutSeconds: 600, environment }).catch(async () => {
    await run('apt-get', ['-qq', 'update'], { timeoutSeconds: 300 });
    await run('apt-get', install, { timeoutSeconds: 600, environment });
  });
}

/** @param path as in PATH; the directories of the administrator's programs are searched as well. */
export function isInstalled(
  program: string,
  path: string = process.env.PATH ?? '',
  exists: (file: string) => boolean = existsSync,
): boolean {
  return [...path.split(delimiter), '/usr/sbin', '/sbin'].some((directory) => exists(join(directory, program)));
}

/** @param path as in PATH. @param exists says whether a file does. */
export function missingPackages(path: string, exists: (file: string) => boolean): string[] {
  const missing = Object.entries(PACKAGE_OF).filter(([program]) => !isInstalled(program, path, exists));
  return [...new Set(missing.map(([, packageName]) => packageName))].sort();
}

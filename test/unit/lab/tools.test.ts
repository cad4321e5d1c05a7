import { expect, test } from 'vitest';
import { isInstalled, missingPackages } from '../../../lab/tools/index.ts';

test('a host with all programs lacks no package, wherever on PATH or beside it they are', () => {
  const programs = new Set([
    '/opt/bin/qemu-system-x86_64',
    ...['mksquashfs', 'cpio', 'xz', 'ip', 'ssh', 'openssl', 'socat'].map((name) => `/usr/bin/${name}`),
  ]);
  for (const name of ['depmod', 'mkfs.ext4']) programs.add(`/usr/sbin/${name}`);
  expect(missingPackages('/usr/bin:/opt/bin', (file) => programs.has(file))).toEqual([]);
});

test('the packages of missing programs are named, each once', () => {
  expect(missingPackages('/usr/bin', (file) => !/mksquashfs|depmod/.test(file))).toEqual(['kmod', 'squashfs-tools']);
});

test('a program is installed where it lies in a directory of PATH, or with the programs of the administrator', () => {
  const isThere = (file: string) => file === '/usr/sbin/ip';
  expect(isInstalled('ip', '/usr/bin', isThere)).toBe(true);
  expect(isInstalled('socat', '/usr/bin', isThere)).toBe(false);
});

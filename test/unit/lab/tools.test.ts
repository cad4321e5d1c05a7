import { expect, test } from 'vitest';
import { missingPackages } from '../../../lab/tools/index.ts';

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

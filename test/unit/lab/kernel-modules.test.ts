import { expect, test } from 'vitest';
import { moduleFiles, releaseOf, withoutSignature, xzOffset } from '../../../lab/image/kernel-modules.ts';

const MODULES_DEP = `kernel/lib/libcrc32c.ko:
kernel/drivers/block/drbd/drbd.ko: kernel/lib/lru_cache.ko kernel/lib/libcrc32c.ko
kernel/lib/lru_cache.ko:
kernel/drivers/md/dm-snapshot.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-mod.ko:
`;

test('a module comes with all that it needs, once', () => {
  expect(moduleFiles(MODULES_DEP, ['drbd', 'libcrc32c'])).toEqual([
    'kernel/drivers/block/drbd/drbd.ko',
    'kernel/lib/libcrc32c.ko',
    'kernel/lib/lru_cache.ko',
  ]);
});

test('dashes and underscores name the same module', () => {
  expect(moduleFiles(MODULES_DEP, ['dm_snapshot'])).toEqual(moduleFiles(MODULES_DEP, ['dm-snapshot']));
});

test('a name that is no module is refused', () => {
  expect(() => moduleFiles(MODULES_DEP, ['drbd9'])).toThrow('the kernel has no module drbd9');
});

test("a module's signature is taken off, and nothing else", () => {
  const code = Buffer.from('\x7fELF and code');
  const signature = Buffer.alloc(300, 1);
  const header = Buffer.alloc(12);
  header.writeUInt32BE(signature.length, 8);
  const signed = Buffer.concat([code, signature, header, Buffer.from('~Module signature appended~\n')]);
  expect(withoutSignature(signed).equals(code)).toBe(true);
  expect(withoutSignature(code).equals(code)).toBe(true);
});

test('the kernel proper is found by the mark of an xz stream', () => {
  expect(xzOffset(Buffer.concat([Buffer.alloc(77), Buffer.from('fd377a585a00ff', 'hex')]))).toBe(77);
  expect(xzOffset(Buffer.from('another compression'))).toBeUndefined();
});

test('a module says for which kernel it was made', () => {
  const module = Buffer.concat([
    Buffer.from('\x7fELF\0license=GPL\0vermagic=6.1.0-18-amd64 SMP preempt mod_unload modversions \0'),
    Buffer.alloc(400, 1),
  ]);
  expect(releaseOf(module)).toBe('6.1.0-18-amd64');
  expect(releaseOf(Buffer.from('\x7fELF'))).toBeUndefined();
});

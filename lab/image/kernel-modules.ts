/** Which modules of the kernel go into the image, and how its uncompressed form is found. */

/** Mounted before anything else can be read: they lie in the initramfs. */
export const EARLY_MODULES = ['virtio_pci', 'virtio_blk', 'squashfs'];

/** What nodes need, the programs they run, and tests: nothing is loaded but what somebody asks for. */
export const MODULES = [
  ...EARLY_MODULES,
  'virtio_net',
  'virtio_rng',
  'dm-mod',
  'dm-snapshot',
  'dm-thin-pool',
  'dm-mirror',
  'dm-delay',
  'dm-flakey',
  'loop',
  'drbd',
  'tls',
  'ext4',
  'xfs',
  'overlay',
  'crc32c_generic',
  'crc32c_intel',
  'sha256_ssse3',
];

/**
 * The files, relative to the directory of modules.dep, of the modules named and of all that they need.
 * @param modulesDep content of modules.dep: `path/of/module.ko: path/of/needed.ko ...`
 * @throws where one of the names is no module. Modules that are built in have no file: do not name them.
 */
export function moduleFiles(modulesDep: string, names: readonly string[]): string[] {
  const lines = modulesDep.trim().split('\n');
  const needs = new Map(lines.map((line) => line.split(':') as [string, string]));
  const files = new Map([...needs.keys()].map((file) => [moduleName(file), file]));
  const wanted = names.map((name) => {
    const file = files.get(moduleName(name));
    if (!file) throw new Error(`the kernel has no module ${name}`);
    return file;
  });
  return [...new Set(wanted.flatMap((file) => [file, ...needs.get(file)!.split(' ').filter(Boolean)]))].sort();
}

/** Module names use - and _ alike. */
function moduleName(file: string): string {
  return file
    .replace(/^.*\//, '')
    .replace(/\.ko(\..*)?$/, '')
    .replaceAll('-', '_');
}

/** Where in a bzImage the xz stream with the kernel proper begins; undefined where it is compressed otherwise. */
export function xzOffset(bzImage: Buffer): number | undefined {
  const offset = bzImage.indexOf(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]));
  return offset < 0 ? undefined : offset;
}

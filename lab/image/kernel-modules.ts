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
  'dm-raid',
  'raid1',
  'dm-cache',
  'dm-cache-smq',
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

const VERSION_MARK = Buffer.from('vermagic=');

/** The release of the kernel that a module was made for, and that alone loads it; undefined where the file says none. */
export function releaseOf(module: Buffer): string | undefined {
  const start = module.indexOf(VERSION_MARK);
  if (start < 0) return undefined;
  // `vermagic=6.1.0-18-amd64 SMP preempt mod_unload modversions `
  const [release] = module.toString('latin1', start + VERSION_MARK.length, start + 256).split(/[ \0]/);
  return release;
}

const SIGNATURE_MARK = Buffer.from('~Module signature appended~\n');
/** struct module_signature of the kernel: its last four bytes are the length of the signature before it, big-endian. */
const SIGNATURE_HEADER_BYTES = 12;

/**
 * A module without the signature that its distribution appended. Checking one takes an emulated processor 0.1 s; these come from a package whose
 * checksum was checked, into a machine that nobody else can reach.
 */
export function withoutSignature(module: Buffer): Buffer {
  const headerEnd = module.length - SIGNATURE_MARK.length;
  if (!module.subarray(headerEnd).equals(SIGNATURE_MARK)) return module;
  return module.subarray(0, headerEnd - SIGNATURE_HEADER_BYTES - module.readUInt32BE(headerEnd - 4));
}

/** Where in a bzImage the xz stream with the kernel proper begins; undefined where it is compressed otherwise. */
export function xzOffset(bzImage: Buffer): number | undefined {
  const offset = bzImage.indexOf(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]));
  return offset < 0 ? undefined : offset;
}

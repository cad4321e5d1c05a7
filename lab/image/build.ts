/** The making of the image: packages in, three files out. */
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { cacheDirectory } from '../cache.ts';
import { CommandError, run, runForBytes } from '../command.ts';
import { dependenciesOf, downloadPackages, unpackPackage, withLibraries } from '../tools/packages.ts';
import type { ImageOptions, Progress } from './index.ts';
import { EARLY_MODULES, MODULES, moduleFiles, releaseOf, withoutSignature, xzOffset } from './kernel-modules.ts';
import { makeSquashfs } from './squashfs.ts';

const KERNEL_PACKAGE = 'linux-image-amd64';

/**
 * coreutils and dash although busybox has the like: its sha256sum takes twice as long, and its shell runs busybox's own mount, losetup and mke2fs
 * whatever PATH says. libstdc++6 and libgcc-s1 are Node.js's; what the others need apt knows.
 */
const PROGRAM_PACKAGES = [
  'busybox-static',
  'coreutils',
  'dash',
  'dmsetup',
  'drbd-utils',
  'dropbear-bin',
  'e2fsprogs',
  'libgcc-s1',
  'libstdc++6',
  'lvm2',
  'mount',
  'socat',
  'thin-provisioning-tools',
  'util-linux',
  'xfsprogs',
];

/** Programs whose libraries must all be in the image; paths on the node. */
const CHECKED_PROGRAMS = [
  ...['lvm', 'dmsetup', 'drbdadm', 'drbdsetup', 'drbdmeta', 'mke2fs', 'mkfs.xfs', 'dropbear'].map((name) => `/usr/sbin/${name}`),
  ...['mount', 'unshare', 'nsenter', 'socat', 'node'].map((name) => `/usr/bin/${name}`),
  '/usr/lib/drbd/drbdsetup-84',
];

const ROOT_FILES = join(import.meta.dirname, 'root');

/**
 * Fills `directory` with `kernel`, `initramfs.cpio`, `programs.squashfs` and `packages` (what it was made of, a file name of a package per line).
 * @param nodeProgram the Node.js that agents run.
 */
export async function buildImage(directory: string, nodeProgram: string, progress: Progress, options: ImageOptions): Promise<void> {
  progress('downloading the packages of the virtual nodes (about 80 MB)');
  const graph = await dependenciesOf([KERNEL_PACKAGE, ...PROGRAM_PACKAGES]);
  const kernelPackage = graph.get(KERNEL_PACKAGE)?.find((name) => name.startsWith('linux-image-'));
  if (!kernelPackage) throw new Error(`apt's ${KERNEL_PACKAGE} names no kernel; the lab needs the packages of Debian`);
  const downloads = join(cacheDirectory(), 'packages');
  const [kernelFile] = await downloadPackages([kernelPackage], downloads);
  const programFiles = await downloadPackages(withLibraries(PROGRAM_PACKAGES, graph), downloads);
  await writeFile(join(directory, 'packages'), [kernelFile!, ...programFiles].map((file) => `${basename(file)}\n`).join(''));

  progress('making the disk of the virtual nodes');
  const work = join(directory, 'work');
  const kernelTree = join(work, 'kernel');
  const root = join(work, 'root');
  await makeMergedRoot(kernelTree);
  await unpackPackage(kernelFile!, kernelTree);
  await extractKernel(kernelTree, join(directory, 'kernel'));

  await makeMergedRoot(root);
  for (const file of programFiles) await unpackPackage(file, root);
  const release = kernelPackage.replace('linux-image-', '');
  await installModules(kernelTree, release, MODULES, root, options.drbdModulesDirectory);
  await installNode(nodeProgram, root);
  await linkBusyboxApplets(root);
  await checkLibraries(root);
  await makeSquashfs(join(root, 'usr'), join(directory, 'programs.squashfs'));

  await makeInitramfs(root, kernelTree, release, join(work, 'initramfs'), join(directory, 'initramfs.cpio'));
  await rm(work, { recursive: true });
}

/** /bin, /sbin and /lib are links into /usr, so that one mount at /usr brings them all. */
async function makeMergedRoot(root: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(join(root, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(root, name));
  }
}

/** The kernel proper out of the compressed image; the image itself, which boots slower, where that is packed in another way. */
async function extractKernel(kernelTree: string, file: string): Promise<void> {
  const name = (await readdir(join(kernelTree, 'boot'))).find((entry) => entry.startsWith('vmlinuz-'));
  if (!name) throw new Error('the kernel package holds no boot/vmlinuz');
  const bzImage = await readFile(join(kernelTree, 'boot', name));
  const offset = xzOffset(bzImage);
  if (offset === undefined) return writeFile(file, bzImage);
  // What follows the stream is no xz: the exit code says so after the whole kernel has been written.
  const { bytes } = await runForBytes('xz', ['-dc', '--single-stream'], {
    stdin: bzImage.subarray(offset),
    expectedExitCodes: [1],
    timeoutSeconds: 60,
  });
  const ELF = Buffer.from('\x7fELF');
  if (!bytes.subarray(0, ELF.length).equals(ELF)) throw new Error(`no kernel found in ${name}`);
  await writeFile(file, bytes);
}

/** Copies modules, with all that they need, into another tree and indexes them there. */
async function installModules(from: string, release: string, names: readonly string[], to: string, drbdDirectory?: string): Promise<void> {
  const source = join(from, 'usr/lib/modules', release);
  const target = join(to, 'usr/lib/modules', release);
  await run('depmod', ['-b', from, release], { timeoutSeconds: 120 });
  for (const file of moduleFiles(await readFile(join(source, 'modules.dep'), 'utf8'), names)) {
    if (drbdDirectory && basename(file) === 'drbd.ko') continue;
    await mkdir(dirname(join(target, file)), { recursive: true });
    await writeFile(join(target, file), withoutSignature(await readFile(join(source, file))));
  }
  for (const index of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'])
    await copyFile(join(source, index), join(target, index));
  if (drbdDirectory) await installDrbd9(drbdDirectory, release, join(target, 'updates'));
  await run('depmod', ['-b', to, release], { timeoutSeconds: 60 });
}

/** @throws where a module is made for another kernel: better now than on the node. */
async function installDrbd9(from: string, release: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const file of (await readdir(from)).filter((name) => name.endsWith('.ko'))) {
    const module = await readFile(join(from, file));
    const madeFor = releaseOf(module);
    if (madeFor !== release) {
      throw new Error(
        `${join(from, file)} is made for kernel ${madeFor ?? 'unknown'}, the lab's nodes run ${release}: build it for that one`,
      );
    }
    await writeFile(join(to, file), module);
  }
}

async function installNode(nodeProgram: string, root: string): Promise<void> {
  await mkdir(join(root, 'usr/lib/node/bin'), { recursive: true });
  await copyFile(nodeProgram, join(root, 'usr/lib/node/bin/node'));
  await chmod(join(root, 'usr/lib/node/bin/node'), 0o755);
  await symlink('../lib/node/bin/node', join(root, 'usr/bin/node'));
}

/** Names of busybox for every program that no package brings: the packages' own can do more, as mount and mke2fs. */
async function linkBusyboxApplets(root: string): Promise<void> {
  const present = new Set([...(await readdir(join(root, 'usr/bin'))), ...(await readdir(join(root, 'usr/sbin')))]);
  const { stdout } = await run(join(root, 'usr/bin/busybox'), ['--list']);
  for (const applet of stdout.split('\n').filter((name) => name !== '' && !present.has(name))) {
    await symlink(
      applet === 'modprobe' || applet === 'init' ? '../bin/busybox' : 'busybox',
      join(root, 'usr', appletDirectory(applet), applet),
    );
  }
}

/** The kernel asks for modules at /sbin/modprobe. */
function appletDirectory(applet: string): 'bin' | 'sbin' {
  return applet === 'modprobe' || applet === 'init' ? 'sbin' : 'bin';
}

/** @throws naming the first program that lacks a library: better now than on the node. */
async function checkLibraries(root: string): Promise<void> {
  for (const program of CHECKED_PROGRAMS) {
    await run('chroot', [root, '/lib64/ld-linux-x86-64.so.2', '--list', program]).catch((error: unknown) => {
      throw error instanceof CommandError ? new Error(`the image lacks a library of ${program}: ${error.message}`) : error;
    });
  }
}

/** busybox, the modules that lead to the disk, /init and /etc. */
async function makeInitramfs(root: string, kernelTree: string, release: string, tree: string, file: string): Promise<void> {
  await makeMergedRoot(tree);
  for (const directory of [
    'dev',
    'proc',
    'sys',
    'run',
    'tmp',
    'mnt',
    'state',
    'opt/rehome',
    'root/.ssh',
    'var/run',
    'var/tmp',
    'etc/dropbear',
  ]) {
    await mkdir(join(tree, directory), { recursive: true });
  }
  await symlink('/run/lock', join(tree, 'var/lock'));
  await symlink('/usr/lib/node', join(tree, 'opt/node'));
  await cp(ROOT_FILES, tree, { recursive: true });
  await copyFile(join(root, 'etc/mke2fs.conf'), join(tree, 'etc/mke2fs.conf'));
  await chmod(join(tree, 'init'), 0o755);
  await chmod(join(tree, 'root'), 0o700);
  await chmod(join(tree, 'root/.ssh'), 0o700);
  await copyFile(join(root, 'usr/bin/busybox'), join(tree, 'usr/bin/busybox'));
  for (const applet of ['sh', 'mkdir', 'modprobe', 'mount']) await symlink('busybox', join(tree, 'usr/bin', applet));
  await installModules(kernelTree, release, EARLY_MODULES, tree);

  const { stdout: names } = await run('find', ['.', '-print0'], { workingDirectory: tree });
  const archive = ['--create', '--null', '--format=newc', '--owner=0:0', '--reproducible', '--quiet', `--file=${file}`];
  await run('cpio', archive, { workingDirectory: tree, stdin: names });
}

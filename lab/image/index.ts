/**
 * What the virtual nodes boot and run: made once from the distribution's packages and this project's Node.js, then kept in the user's cache.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { ensureCached } from '../cache.ts';
import { buildImage } from './build.ts';
import { makeSquashfs } from './squashfs.ts';

/** Files that all machines share, none of which is written after it was made. */
export interface NodeImage {
  /** Linux, uncompressed where the package allows it: QEMU then enters it directly, which halves the time to boot. */
  readonly kernel: string;
  readonly initramfs: string;
  /** squashfs with every program of the node, and Node.js at /opt/node. */
  readonly programs: string;
}

export type Progress = (message: string) => void;

export interface ImageOptions {
  /** See `Drbd9` of lab/drbd9.ts; without it the kernel's own 8.4 serves. */
  readonly drbdModulesDirectory?: string;
}

const REPOSITORY = resolve(import.meta.dirname, '../..');
const NODE_PROGRAM = join(REPOSITORY, 'node_modules/node/bin/node');

/** Makes the image unless the cache holds a whole one. @throws with what failed; the cache then is as it was. */
export async function ensureImage(progress: Progress, options: ImageOptions = {}): Promise<NodeImage> {
  const recipe = await recipeHash(options);
  const directory = await ensureCached(`lab-image-${recipe}`, (unfinished) => buildImage(unfinished, NODE_PROGRAM, progress, options));
  return {
    kernel: join(directory, 'kernel'),
    initramfs: join(directory, 'initramfs.cpio'),
    programs: join(directory, 'programs.squashfs'),
  };
}

/**
 * Names the image by all that this project decides of it. Versions of packages are apt's decision at the time of making, recorded in the image's
 * `packages` file: a warm start asks apt nothing and works offline.
 */
async function recipeHash({ drbdModulesDirectory }: ImageOptions): Promise<string> {
  const hash = createHash('sha256');
  const files = await filesBelow(import.meta.dirname);
  if (drbdModulesDirectory) files.push(...(await filesBelow(drbdModulesDirectory)));
  for (const file of [...files, join(REPOSITORY, 'lab/tools/packages.ts')]) {
    hash
      .update(basename(file))
      .update('\0')
      .update(await readFile(file));
  }
  const nodePackage = JSON.parse(await readFile(join(REPOSITORY, 'node_modules/node/package.json'), 'utf8')) as { version: string };
  return hash.update(nodePackage.version).digest('hex').slice(0, 16);
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * Makes the read-only disk that carries the agent's bundle: the content of `directory` appears on the node at /opt/rehome.
 * The file is replaced as a whole; a running machine keeps the one it was started with.
 */
export async function makeAgentDisk(directory: string, file: string): Promise<void> {
  const unfinished = `${file}.${process.pid}`;
  try {
    await makeSquashfs(directory, unfinished);
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
}

/**
 * Metadata of mirrors that have no logical volume for it: files of the agent's, on the node's own disk.
 *
 *   <state directory>/metadata/<name>.tags    a tag a line, there from the first moment to the last
 *                              <name>.image   what a loop device shows to DRBD; made when DRBD is to write to it first, gone before the tags
 *
 * Files outlive a reboot, loop devices do not: a new one is made for the same file.
 */
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../../system/command.ts';
import type { Host } from '../../system/host.ts';
import { attachLoopDevice, detachLoopDevice, findLoopDevice } from '../../system/loop-device.ts';
import { failure } from './failure.ts';

export interface MetadataFile {
  readonly stateDirectory: string;
  readonly name: string;
}

const TAGS = '.tags';
const MIB = 2 ** 20;

const directoryOf = ({ stateDirectory }: Pick<MetadataFile, 'stateDirectory'>): string => join(stateDirectory, 'metadata');
const tagsPath = (file: MetadataFile): string => join(directoryOf(file), `${file.name}${TAGS}`);
const imagePath = (file: MetadataFile): string => join(directoryOf(file), `${file.name}.image`);

/** Names of all that the node has. */
export async function listMetadataFiles(stateDirectory: string): Promise<string[]> {
  const entries = await readdir(directoryOf({ stateDirectory })).catch(ignoreMissing);
  return (entries ?? []).filter((entry) => entry.endsWith(TAGS)).map((entry) => entry.slice(0, -TAGS.length));
}

/** @returns undefined where there is no such file. */
export async function readFileTags(file: MetadataFile): Promise<string[] | undefined> {
  return (await readFile(tagsPath(file), 'utf8').catch(ignoreMissing))?.split('\n').filter(Boolean);
}

/** All of them at once, and on the disk when it returns. */
export async function writeFileTags(file: MetadataFile, tags: readonly string[]): Promise<void> {
  const directory = directoryOf(file);
  await mkdir(directory, { recursive: true });
  const unfinished = `${tagsPath(file)}.new`;
  await writeFile(unfinished, tags.map((tag) => `${tag}\n`).join(''), { flush: true });
  await rename(unfinished, tagsPath(file));
  await syncDirectory(directory);
}

/**
 * The path of the file's loop device, which is made where there is none. @param isNew nothing was written to it yet: it is made, with all of its room
 * taken, because DRBD gives up a volume whose metadata it cannot write. @throws PoolFull
 */
export async function openMetadataFile(host: Host, file: MetadataFile, sizeBytes: number, isNew: boolean): Promise<string> {
  const path = imagePath(file);
  const standing = await findLoopDevice(host, path);
  if (standing) return standing;
  if (isNew) {
    const args = ['if=/dev/zero', `of=${path}`, `bs=${MIB}`, `count=${Math.ceil(sizeBytes / MIB)}`, 'conv=fsync'];
    await host.run('dd', args).catch(asPoolFull);
  }
  return attachLoopDevice(host, path);
}

export async function removeMetadataFile(host: Host, file: MetadataFile): Promise<void> {
  const device = await findLoopDevice(host, imagePath(file));
  if (device) await detachLoopDevice(host, device);
  await host.run('rm', ['-f', imagePath(file)]);
  await rm(tagsPath(file), { force: true });
}

function asPoolFull(error: unknown): never {
  const isFull = error instanceof CommandError && /no space left/i.test(error.stderr);
  throw isFull
    ? failure('PoolFull', `neither the volume group nor the state directory has room for DRBD's metadata: ${error.message}`, error)
    : error;
}

/** A name that a file was given is in its directory, which goes to the disk by itself. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

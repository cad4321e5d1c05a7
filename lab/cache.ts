/**
 * What takes minutes to make is kept between labs: one directory for each thing and version, made as a whole or not at all.
 *
 * Beside the files lies a list of their checksums. A directory whose files are not those of its list (a disk that filled up, a hand that
 * slipped) is made anew.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';

const CHECKSUMS = 'checksums.json';
/** Followed by the pid of the maker. */
const UNFINISHED = '.unfinished-';

/** Honours the XDG base directory specification. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rehome');
}

/**
 * The directory of a thing, which is made first unless a whole one is there.
 * @param name thing and version, as `control-plane-1.36.3`.
 * @param make fills an empty directory. Where it throws, nothing is kept.
 */
export async function ensureCached(
  name: string,
  make: (directory: string) => Promise<void>,
  parent: string = cacheDirectory(),
): Promise<string> {
  const wanted = join(parent, name);
  if (await isWhole(wanted)) return wanted;

  await mkdir(parent, { recursive: true });
  await removeAbandoned(parent);
  const inTheMaking = await mkdtemp(join(parent, `${UNFINISHED}${process.pid}-`));
  try {
    await make(inTheMaking);
    await writeFile(join(inTheMaking, CHECKSUMS), JSON.stringify(await checksums(inTheMaking), null, 2));
    await rm(wanted, { recursive: true, force: true });
    await rename(inTheMaking, wanted);
  } catch (error) {
    await rm(inTheMaking, { recursive: true, force: true });
    // Somebody else made it in the meantime.
    if ((error as NodeJS.ErrnoException).code === 'ENOTEMPTY' && (await isWhole(wanted))) return wanted;
    throw error;
  }
  return wanted;
}

/** Removes what makers left that were killed. */
async function removeAbandoned(parent: string): Promise<void> {
  const unfinished = (await readdir(parent)).filter((name) => name.startsWith(UNFINISHED));
  const abandoned = unfinished.filter((name) => !existsSync(`/proc/${Number.parseInt(name.slice(UNFINISHED.length), 10)}`));
  await Promise.all(abandoned.map((name) => rm(join(parent, name), { recursive: true, force: true })));
}

/** Whether every file of the list is there as it was made. */
export async function isWhole(directory: string): Promise<boolean> {
  let listed: Record<string, string>;
  try {
    listed = JSON.parse(await readFile(join(directory, CHECKSUMS), 'utf8')) as Record<string, string>;
  } catch {
    return false;
  }
  const found = await checksums(directory);
  return Object.entries(listed).every(([file, sum]) => found[file] === sum);
}

async function checksums(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name !== CHECKSUMS).map((entry) => join(entry.parentPath, entry.name));
  const sums = await Promise.all(files.sort().map(async (file) => [relative(directory, file), await sha256(file)] as const));
  return Object.fromEntries(sums);
}

/** In hexadecimal. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/**
 * Things that are slow to make and never change once made, kept in `${XDG_CACHE_HOME:-~/.cache}/rehome`.
 *
 * An entry is a directory that appears whole, by a rename, with the checksums of its files. Whoever is killed while making one leaves a directory of
 * another name, which the next maker removes.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Honours the XDG base directory specification. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rehome');
}

const CHECKSUMS = 'checksums.json';
/** Begins the name of a directory that is not whole yet; the maker's process id follows. */
const UNFINISHED = '.unfinished-';

/**
 * Gives the entry of that name, made anew by `make` where there is none or where one of its files is not what it was.
 * @param name says what it is and of which version: an entry is never brought up to date.
 * @param make fills the empty directory it is given.
 * @returns its directory. @throws what `make` throws; the cache then holds nothing of it.
 */
export async function ensureCached(name: string, make: (directory: string) => Promise<void>, cache = cacheDirectory()): Promise<string> {
  const entry = join(cache, name);
  if (await isWhole(entry)) return entry;
  await mkdir(cache, { recursive: true });
  await removeAbandoned(cache);

  const unfinished = await mkdtemp(join(cache, `${UNFINISHED}${process.pid}-`));
  try {
    await make(unfinished);
    await writeFile(join(unfinished, CHECKSUMS), JSON.stringify(await checksums(unfinished), undefined, 2));
    await rm(entry, { recursive: true, force: true });
    await rename(unfinished, entry).catch(async (error: NodeJS.ErrnoException) => {
      // Somebody else was as fast: theirs is as good.
      if (!['ENOTEMPTY', 'EEXIST'].includes(error.code ?? '')) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return entry;
}

/** In lower-case hexadecimal. @throws where the file cannot be read. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

async function isWhole(entry: string): Promise<boolean> {
  const [recorded, found] = await Promise.all([recordedChecksums(entry), checksums(entry)]);
  return recorded !== undefined && Object.entries(recorded).every(([file, sum]) => found[file] === sum);
}

/** @returns undefined where there is no entry, or one whose list is damaged. */
async function recordedChecksums(entry: string): Promise<Record<string, string> | undefined> {
  try {
    return JSON.parse(await readFile(join(entry, CHECKSUMS), 'utf8')) as Record<string, string>;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function checksums(directory: string): Promise<Record<string, string>> {
  if (!existsSync(directory)) return {};
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name !== CHECKSUMS).map((entry) => join(entry.parentPath, entry.name));
  const sums = files.sort().map(async (file) => [relative(directory, file), await sha256(file)] as const);
  return Object.fromEntries(await Promise.all(sums));
}

/** What makers that were killed have left. */
async function removeAbandoned(cache: string): Promise<void> {
  const unfinished = (await readdir(cache)).filter((name) => name.startsWith(UNFINISHED));
  const abandoned = unfinished.filter((name) => !existsSync(`/proc/${Number.parseInt(name.slice(UNFINISHED.length), 10)}`));
  await Promise.all(abandoned.map((name) => rm(join(cache, name), { recursive: true, force: true })));
}

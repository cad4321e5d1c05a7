/** The node a process runs on: its programs, and the files in /proc and /sys that say what the kernel does. Injected, so that tests can play a node. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { type Run, run } from './command.ts';

export interface Host {
  readonly run: Run;
  /** @returns undefined where there is no such file. */
  readonly readText: (path: string) => Promise<string | undefined>;
  readonly writeText: (path: string, text: string) => Promise<void>;
  /** SHA-256 (hex) of a file or block device; `onProgress` hears how many bytes were read so far. */
  readonly hashFile: (path: string, onProgress: (bytes: number) => void) => Promise<string>;
}

const HASH_CHUNK_BYTES = 2 ** 20;

export const localHost: Host = {
  run,
  readText: async (path) => {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    }
  },
  writeText: (path, text) => writeFile(path, text),
  hashFile: async (path, onProgress) => {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of createReadStream(path, { highWaterMark: HASH_CHUNK_BYTES })) {
      hash.update(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      onProgress(bytes);
    }
    return hash.digest('hex');
  },
};

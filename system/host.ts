/** The node a process runs on: its programs, and the files in /proc and /sys that say what the kernel does. Injected, so that tests can play a node. */
import { readFile, writeFile } from 'node:fs/promises';
import { type Run, run } from './command.ts';

export interface Host {
  readonly run: Run;
  /** @returns undefined where there is no such file. */
  readonly readText: (path: string) => Promise<string | undefined>;
  readonly writeText: (path: string, text: string) => Promise<void>;
}

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
};

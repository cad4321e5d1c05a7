/** The node a process runs on: its programs, and the files in /proc and /sys that say what the kernel does. Injected, so that tests can play a node. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import type { DeviceNumber } from './block-device.ts';
import { type Run, run } from './command.ts';
import { type KernelLogRecord, readKernelLog } from './kernel-log.ts';

export interface Host {
  readonly run: Run;
  /** @returns undefined where there is no such file. */
  readonly readText: (path: string) => Promise<string | undefined>;
  readonly writeText: (path: string, text: string) => Promise<void>;
  /** Of the block device with this path. */
  readonly deviceNumber: (path: string) => Promise<DeviceNumber>;
  /** SHA-256 (hex) of a file or block device; `onProgress` hears how many bytes were read so far. */
  readonly hashFile: (path: string, onProgress: (bytes: number) => void) => Promise<string>;
  /** Until the disks beneath a block device have what was written to it, and not their caches alone (fsync). */
  readonly flush: (path: string) => Promise<void>;
  readonly readKernelLog: () => Promise<readonly KernelLogRecord[]>;
}

/** As glibc's makedev(3) packs them, for majors below 4096, which Linux's all are. */
const majorOf = (rdev: number): number => (rdev >>> 8) & 0xfff;
const minorOf = (rdev: number): number => (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);

/** Nothing else runs in this process while a piece is hashed. A program of its own would outlive a killed agent, and keep the volume open meanwhile. */
const HASH_CHUNK_BYTES = 2 ** 18;

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
  deviceNumber: async (path) => {
    const { rdev } = await stat(path);
    return `${majorOf(rdev)}:${minorOf(rdev)}`;
  },
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
  flush: async (path) => {
    const device = await open(path, 'r');
    try {
      await device.sync();
    } finally {
      await device.close();
    }
  },
  readKernelLog,
};

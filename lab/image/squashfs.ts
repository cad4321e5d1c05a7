import { rm } from 'node:fs/promises';
import { run } from '../command.ts';

/**
 * Packs a directory, everything in it owned by root. Not compressed: an emulated processor decompresses slower than the host reads, and the host
 * keeps one copy in memory for all machines.
 */
export async function makeSquashfs(directory: string, file: string): Promise<void> {
  await rm(file, { force: true });
  const uncompressed = ['-noI', '-noD', '-noF', '-noX'];
  const args = [directory, file, '-all-root', '-no-xattrs', '-no-progress', '-quiet', '-mkfs-time', '0', ...uncompressed];
  await run('mksquashfs', args, { timeoutSeconds: 300 });
}

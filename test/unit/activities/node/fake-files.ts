/** The node's files as loop devices show them, and the programs that make and remove them. */
import { basename } from 'node:path';
import { refuse } from './fake-node.ts';

export class FakeFiles {
  /** Paths of files that are there. */
  readonly images = new Set<string>();
  /** Of each loop device, the file. */
  readonly loops = new Map<string, string>();

  losetup(args: readonly string[]): string {
    const file = args.at(-1)!;
    switch (args[0]) {
      case '--list':
        return [...this.loops].flatMap(([device, image]) => (image === file ? [`${device}\n`] : [])).join('');
      case '--find': {
        if (!this.images.has(file)) refuse(1, `losetup: ${file}: failed to set up loop device: No such file or directory`);
        const device = `/dev/loop${this.loops.size}`;
        this.loops.set(device, file);
        return `${device}\n`;
      }
      default:
        this.loops.delete(file);
        return '';
    }
  }

  dd(args: readonly string[]): string {
    this.images.add(args.find((arg) => arg.startsWith('of='))!.slice(3));
    return '';
  }

  rm(file: string): string {
    this.images.delete(file);
    return '';
  }
}

/** Under which DRBD's metadata in it is known. */
export const nameOfImage = (path: string): string => basename(path, '.image');

/**
 * What the virtual nodes boot and run: made once from the distribution's packages and this project's Node.js, then kept in the user's cache.
 */

/** Files that all machines share, none of which is written after it was made. */
export interface NodeImage {
  /** Linux, uncompressed where the package allows it. */
  readonly kernel: string;
  readonly initramfs: string;
  /** squashfs with every program of the node, and Node.js at /opt/node. */
  readonly programs: string;
}

export type Progress = (message: string) => void;

export interface ImageOptions {
  /** Directory of prebuilt modules (`drbd.ko` and what it needs) of DRBD 9 for the image's kernel; without it the kernel's own 8.4 serves. */
  readonly drbdModulesDirectory?: string;
}

/** Makes the image unless the cache holds a whole one. @throws with what failed; the cache then is as it was. */
export async function ensureImage(_progress: Progress, _options: ImageOptions = {}): Promise<NodeImage> {
  throw new Error('not implemented yet');
}

/**
 * Makes the read-only disk that carries the agent's bundle: the content of `directory` appears on the node at /opt/rehome.
 * The file is replaced as a whole; a running machine keeps the one it was started with.
 */
export async function makeAgentDisk(_directory: string, _file: string): Promise<void> {
  throw new Error('not implemented yet');
}

/** Programs that the lab runs on the host, and the Debian packages that carry them. */
import type { Progress } from '../image/index.ts';

/** Installs the packages of those programs that the host lacks, with apt-get. @throws with apt's own words. */
export async function ensureTools(_progress: Progress): Promise<void> {
  throw new Error('not implemented yet');
}

import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

/** By which what was made of these files, and of the packages, is known to be still right. @param patterns of paths below the project's folder. */
export function digestOfSources(...patterns: readonly string[]): string {
  const hash = createHash('sha256');
  const files = globSync([...patterns, 'package-lock.json'], { cwd: ROOT });
  for (const file of files.sort()) hash.update(file).update(readFileSync(join(ROOT, file)));
  return hash.digest('hex');
}

/** Makes the programs that the tests start, once for all files and only where something in them has changed. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildAll } from '../../worker/build.ts';
import { digestOfSources, ROOT } from '../digest-of-sources.ts';

const SOURCES = ['core', 'system', 'activities', 'workflows', 'triggers', 'reconcilers', 'worker'].map((folder) => `${folder}/**/*.ts`);

/** Where they are: `controller` and `agent`. */
export const BUILT = join(ROOT, 'dist/cluster-tests');

export async function setup(): Promise<void> {
  const [stamp, sources] = [join(BUILT, 'sources'), digestOfSources(...SOURCES)];
  if ((await readFile(stamp, 'utf8').catch(() => undefined)) === sources) return;
  await buildAll(BUILT);
  await writeFile(stamp, sources);
}

/** The workflows as one script. Made once for all files of tests, each of which runs in a process of its own. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundle } from '@temporalio/worker';
import { digestOfSources, ROOT } from '../digest-of-sources.ts';

const KEPT = join(ROOT, 'dist/workflow-tests');

/** Files of this folder, in the place of the workflows' own. */
export type Timings = 'short-timings' | 'impatient-timings';

export async function loadWorkflowBundle(timings?: Timings): Promise<WorkflowBundle> {
  const file = join(KEPT, `${timings ?? 'bundle'}.json`);
  const sources = digestOfSources('workflows/**/*.ts', 'core/**/*.ts', 'test/workflow/*-{timings,bundle}.ts');
  const kept = await readFile(file, 'utf8').then(JSON.parse, () => undefined);
  if (kept?.sources === sources) return { code: kept.code };

  const { code } = await bundleWorkflows(timings);
  await mkdir(KEPT, { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify({ sources, code }));
  await rename(`${file}.${process.pid}`, file);
  return { code };
}

function bundleWorkflows(timings: Timings | undefined): Promise<WorkflowBundle> {
  return bundleWorkflowCode({
    workflowsPath: join(ROOT, 'workflows/index.ts'),
    logger: new DefaultLogger('ERROR'),
    ...(timings && { webpackConfigHook: (config) => ({ ...config, plugins: [...(config.plugins ?? []), replaceTimings(timings)] }) }),
  });
}

interface Hook<T> {
  tap(name: string, listener: (subject: T) => void): void;
}
type ModuleFactory = { readonly hooks: { readonly beforeResolve: Hook<{ request: string }> } };

/** A plugin of webpack. */
const replaceTimings = (timings: Timings) => ({
  apply({ hooks }: { readonly hooks: { readonly normalModuleFactory: Hook<ModuleFactory> } }) {
    hooks.normalModuleFactory.tap('short timings', (factory) => {
      factory.hooks.beforeResolve.tap('short timings', (module) => {
        if (module.request.endsWith('/timings.ts')) module.request = join(import.meta.dirname, `${timings}.ts`);
      });
    });
  },
});

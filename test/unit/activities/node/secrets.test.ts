/** What is secret about a mirror, computed here as whoever has the cluster key would: it is given to DRBD and turns up nowhere else. */
import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { defaultFailureConverter, defaultPayloadConverter } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import pino from 'pino';
import { expect, test } from 'vitest';
import { CommandError, type Run, type RunOptions } from '../../../../system/command.ts';
import { activityInterceptor } from '../../../../worker/activity-interceptor.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { copy, move, newCluster } from './scenario.ts';

const SECRET = createHmac('sha256', 'key of all agents').update(`${mirror.migration.uid}/${mirror.pairing}`).digest('hex').slice(0, 32);

/** From now on the programs that agents run pass by here. */
function watchPrograms(cluster: FakeCluster, watch: (run: Run) => Run): void {
  const dependencies = cluster.dependencies.bind(cluster);
  cluster.dependencies = (node) => {
    const deps = dependencies(node);
    return { ...deps, host: { ...deps.host, run: watch(deps.host.run) } };
  };
}

const everything = (value: unknown): string =>
  inspect(value, { depth: null, showHidden: true, maxStringLength: null, maxArrayLength: null });

test('it is an argument of DRBD’s alone, and there marked as what no error may say', async () => {
  const cluster = newCluster();
  const told: { readonly commandLine: string; readonly options: RunOptions | undefined }[] = [];
  watchPrograms(cluster, (run) => (program, args, options) => {
    const commandLine = [program, ...args].join(' ');
    if (commandLine.includes(SECRET)) told.push({ commandLine, options });
    return run(program, args, options);
  });
  const answers: unknown[] = [];
  const insist = cluster.insist.bind(cluster);
  cluster.insist = async (node, step) => {
    const answer = await insist(node, step);
    answers.push(answer);
    return answer;
  };
  await move(cluster);
  expect(told.map(({ commandLine }) => commandLine.split(' ').slice(0, 3).join(' '))).toEqual([
    'drbdsetup connect data_rehome',
    'drbdsetup connect data_rehome',
  ]);
  for (const { options } of told) expect(options?.secrets).toEqual([SECRET]);
  expect(everything(answers)).not.toContain(SECRET);
  const files = readdirSync(cluster.stateDirectory, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  expect(files).not.toEqual([]);
  for (const { parentPath, name } of files) expect(readFileSync(join(parentPath, name), 'utf8')).not.toContain(SECRET);
});

test('a program that fails with it, and repeats what it was told, brings it into no failure and no log', async () => {
  const cluster = newCluster();
  watchPrograms(cluster, (run) => async (program, args, options) => {
    if (args[0] !== 'connect') return run(program, args, options);
    throw new CommandError({ program, args, stderr: `cannot do ${args.join(' ')}`, ending: { exitCode: 20 } }, options?.secrets);
  });
  const logged: unknown[] = [];
  const logger = pino(
    { level: 'trace', serializers: { error: pino.stdSerializers.err } },
    { write: (line: string) => void logged.push(line) },
  );
  const environment = new MockActivityEnvironment(
    { activityType: 'ensureTargetMirror' },
    {
      interceptors: [activityInterceptor(logger, () => undefined)],
      logger: new DefaultLogger('TRACE', (entry) => void logged.push(entry)),
    },
  );
  const failed = await environment.run(() => copy(cluster)).catch((error: unknown) => error);
  logger.error({ error: failed }, 'test');
  expect(failed).toMatchObject({ type: 'CommandFailed', message: expect.stringContaining('--shared-secret=[redacted]') });
  const inHistory = defaultFailureConverter.errorToFailure(failed, defaultPayloadConverter);
  for (const said of [failed, inHistory, logged]) expect(everything(said)).not.toContain(SECRET);
});

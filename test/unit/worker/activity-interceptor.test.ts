import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { CommandError } from '../../../system/command.ts';
import { LockTimeoutError } from '../../../system/file-lock.ts';
import { KubeError } from '../../../system/kube/errors.ts';
import { activityInterceptor } from '../../../worker/activity-interceptor.ts';
import { faultPoints } from '../../../worker/faults.ts';

const silent = pino({ level: 'silent' });

function run(activity: () => Promise<unknown>, reached: (moment: string, step: string) => void = () => undefined): Promise<unknown> {
  const environment = new MockActivityEnvironment(
    { activityType: 'removeSource' },
    { interceptors: [activityInterceptor(silent, reached)], logger: new DefaultLogger('ERROR', () => undefined) },
  );
  return environment.run(activity);
}

describe('an error from below an activity gets a stable type', () => {
  const failed = { program: 'lvs', args: [], stderr: 'no', ending: { exitCode: 5 } };
  test.each([
    ['a program that failed', new CommandError(failed), 'CommandFailed', false],
    ['a lock that somebody else held', new LockTimeoutError('locked'), 'LockTimeout', false],
    ['an API server that does not answer', KubeError.noAnswer('GET /x', new Error('connection refused')), 'ApiUnavailable', false],
    ['an API server with too much to do', KubeError.fromAnswer('GET /x', 429, ''), 'ApiUnavailable', false],
    ['an API server without its database', KubeError.fromAnswer('GET /x', 503, ''), 'ApiUnavailable', false],
    ['a wrong token', KubeError.fromAnswer('GET /x', 401, ''), 'ApiRefused', false],
    ['a missing right', KubeError.fromAnswer('GET /x', 403, ''), 'ApiRefused', false],
    ['an object that has gone', KubeError.fromAnswer('PATCH /x', 404, ''), 'ApiRefused', false],
    ['a conflict with another writer', KubeError.fromAnswer('PATCH /x', 409, ''), 'ApiRefused', false],
    ['an object that is not valid', KubeError.fromAnswer('PATCH /x', 422, ''), 'ApiRefused', false],
    ['input of a wrong shape', z.object({ node: z.string() }).safeParse({}).error!, 'InvalidArgument', true],
    ['a failure that has its type', ApplicationFailure.nonRetryable('gone', 'LocalVolumeMissing'), 'LocalVolumeMissing', true],
  ])('%s', async (_, error, type, nonRetryable) => {
    const failure = await run(() => Promise.reject(error)).catch((caught: unknown) => caught);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ type, nonRetryable });
    expect((failure as Error).message).not.toBe('');
  });

  test('but a cancellation stays one', async () => {
    await expect(run(() => Promise.reject(new CancelledFailure('cancelled')))).rejects.toBeInstanceOf(CancelledFailure);
  });
});

describe('fault points', () => {
  test('lie before and after every activity', async () => {
    const reached: string[] = [];
    await run(
      async () => reached.push('activity'),
      (moment, step) => reached.push(`${moment}:${step}`),
    );
    expect(reached).toEqual(['before:removeSource', 'activity', 'after:removeSource']);
  });

  test('end the process exactly where they were asked to', () => {
    let crashes = 0;
    const reach = faultPoints([{ moment: 'after', step: 'switchObjects.delete' }], () => {
      crashes += 1;
    });
    reach('before', 'switchObjects.delete');
    reach('after', 'switchObjects');
    expect(crashes).toBe(0);
    reach('after', 'switchObjects.delete');
    expect(crashes).toBe(1);
  });
});

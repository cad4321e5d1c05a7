import { expect, test } from 'vitest';
import type { KubeClient } from '../../../system/kube/client.ts';
import { ProgressReporter } from '../../../worker/agent/progress-reporter.ts';
import { createLogger } from '../../../worker/logging.ts';

test('what is not known any more, and what is no longer waited for, goes from the object', () => {
  const written: unknown[] = [];
  const mergePatch = async (_resource: unknown, _name: unknown, patch: unknown) => void written.push(patch);
  const reporter = new ProgressReporter({ mergePatch } as unknown as KubeClient, createLogger('test', 'fatal'));
  const waits = { totalBytes: 10, syncedBytes: 0, outOfSyncBytes: 0, bytesPerSecond: 0, waitsFor: 'another one' };
  reporter.report('first', waits);
  const { waitsFor: _, ...runs } = waits;
  reporter.report('second', { ...runs, bytesPerSecond: 5 });
  expect(written).toEqual([
    { status: { progress: expect.objectContaining({ etaSeconds: null, waitsFor: 'another one' }) } },
    { status: { progress: expect.objectContaining({ etaSeconds: 2, waitsFor: null }) } },
  ]);
});

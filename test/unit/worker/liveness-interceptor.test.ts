import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LIVENESS_MILLISECONDS, livenessInterceptor } from '../../../worker/liveness-interceptor.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** How often an activity that takes so long is said to be alive, and how often after its end. */
async function heartbeats(milliseconds: number, ending: () => Promise<unknown>): Promise<{ during: number; after: number }> {
  let count = 0;
  const environment = new MockActivityEnvironment({}, { interceptors: [livenessInterceptor()] });
  environment.on('heartbeat', () => (count += 1));
  const { promise, resolve } = Promise.withResolvers<void>();
  const running = environment.run(() => promise.then(ending)).catch(() => undefined);
  await vi.advanceTimersByTimeAsync(milliseconds);
  const during = count;
  resolve();
  await running;
  await vi.advanceTimersByTimeAsync(10 * LIVENESS_MILLISECONDS);
  return { during, after: count - during };
}

test('a step is said to be alive for as long as it runs, and no longer', async () => {
  expect(await heartbeats(LIVENESS_MILLISECONDS * 3.5, async () => 'done')).toEqual({ during: 3, after: 0 });
});

test('so is one that fails', async () => {
  const fails = () => Promise.reject(new Error('no'));
  expect(await heartbeats(LIVENESS_MILLISECONDS * 1.5, fails)).toEqual({ during: 1, after: 0 });
});

test('a short step costs no call', async () => {
  expect(await heartbeats(LIVENESS_MILLISECONDS / 2, async () => 'done')).toEqual({ during: 0, after: 0 });
});

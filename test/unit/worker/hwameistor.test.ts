import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { KubeClient, WatchEvent } from '../../../system/kube/client.ts';
import { microTime } from '../../../system/kube/lease.ts';
import type { Lease } from '../../../system/kube/resources.ts';
import { HwameistorWatch } from '../../../worker/controller/hwameistor.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** An API server with one Lease, renewed just now, whose watch shows nothing until it is told to. */
function apiServer() {
  const spec = { holderIdentity: 'hwameistor-0', leaseDurationSeconds: 15, renewTime: microTime(new Date()) };
  const lease: Lease = { metadata: { namespace: 'hwameistor', name: 'lease', uid: 'u', resourceVersion: '1' }, spec };
  const bookmark = Promise.withResolvers<WatchEvent<Lease>>();
  const kube = {
    async *pages() {
      yield { items: [lease], resourceVersion: '1' };
    },
    async *watch(_: unknown, { signal, onContact }: { readonly signal: AbortSignal; readonly onContact: () => void }) {
      onContact();
      yield await bookmark.promise;
      onContact();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
  return { kube: kube as unknown as KubeClient, tell: () => bookmark.resolve({ type: 'BOOKMARK', object: lease }) };
}

test('a HwameiStor of which nothing is heard because the API server is silent is not gone', async () => {
  const { kube, tell } = apiServer();
  const changes: boolean[] = [];
  const watch = new HwameistorWatch({ kube, logger: pino({ level: 'silent' }), onChange: (isLive) => changes.push(isLive) });
  watch.start();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(changes).toEqual([true]);
  tell();
  await vi.advanceTimersByTimeAsync(1000);
  expect(changes).toEqual([true, false]);
  await watch.stop();
});

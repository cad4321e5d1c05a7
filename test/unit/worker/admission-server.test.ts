import { connect } from 'node:tls';
import pino from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { freePorts } from '../../../lab/cluster/ports.ts';
import type { KubeClient, RequestOptions } from '../../../system/kube/client.ts';
import { AdmissionServer } from '../../../worker/controller/admission-server.ts';

const configuration = {
  metadata: { name: 'rehome-controller', resourceVersion: '1' },
  webhooks: [{ name: 'pods.rehome.io', clientConfig: { url: 'https://127.0.0.1/pods' } }],
};
const silent = pino({ level: 'silent' });

let server: AdmissionServer | undefined;
afterEach(async () => {
  vi.useRealTimers();
  await server?.stop();
});

test('a question that is longer than any of the API server is not read to its end, whatever it says of its length', async () => {
  const [port = 0] = await freePorts(1);
  const kube = { find: async () => configuration, jsonPatch: async () => configuration } as unknown as KubeClient;
  const review = vi.fn(async () => ({}));
  const served = Promise.withResolvers<void>();
  const logger = pino({ level: 'info' }, { write: () => served.resolve() });
  server = new AdmissionServer({ kube, listen: { host: '127.0.0.1', port }, review, logger });
  server.start();
  await served.promise;

  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('POST /pods HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
  let megabytes = 0;
  for (; !socket.destroyed && megabytes < 64; megabytes++) {
    socket.write('100000\r\n');
    socket.write(Buffer.alloc(2 ** 20, ' '));
    const isTaken = socket.write('\r\n');
    if (!isTaken) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed]);
  }
  socket.destroy();
  expect(megabytes).toBeLessThan(64);
  expect(review).not.toHaveBeenCalled();
});

test('an API server that does not answer is asked by one look at a time, and holds up no stop', async () => {
  vi.useFakeTimers();
  let asked = 0;
  const find = async (_: unknown, __: unknown, { signal }: RequestOptions) => {
    asked += 1;
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  };
  server = new AdmissionServer({ kube: { find } as unknown as KubeClient, listen: { port: 0 }, review: async () => ({}), logger: silent });
  server.start();
  await vi.advanceTimersByTimeAsync(60_000);
  await server.stop();
  expect(asked).toBe(1);
});

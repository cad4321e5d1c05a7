import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
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

test('a new certificate is served when the API server has had the time to hear of it', async () => {
  const [port = 0] = await freePorts(1);
  let webhooks: readonly { readonly clientConfig: { readonly url: string; readonly caBundle?: string } }[] = configuration.webhooks;
  const changes: string[] = [];
  const jsonPatch = async (_: unknown, __: unknown, operations: readonly { readonly value: string }[]) => {
    changes.push(operations.at(-1)!.value);
    webhooks = webhooks.map((webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle: changes.at(-1)! } }));
  };
  const kube = { find: async () => ({ ...configuration, webhooks }), jsonPatch } as unknown as KubeClient;
  vi.useFakeTimers({ toFake: ['Date'] });
  const review = async () => ({});
  server = new AdmissionServer({ kube, listen: { host: '127.0.0.1', port }, review, logger: silent, lookSeconds: 0.3 });
  server.start();
  const first = await vi.waitFor(() => servedAt(port));

  vi.setSystemTime(Date.now() + 13 * 3600 * 1000);
  await vi.waitFor(() => expect(changes).toHaveLength(2), { interval: 5 });
  expect(await servedAt(port)).toBe(first);
  await vi.waitFor(async () => expect(await servedAt(port)).not.toBe(first));
  expect(changes).toHaveLength(2);
});

/** The fingerprint of the certificate. */
async function servedAt(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

test('an API server that does not answer is asked by one look at a time, and holds up no stop', async () => {
  let asked = 0;
  const hears = Promise.withResolvers<void>();
  const find = async (_: unknown, __: unknown, { signal }: RequestOptions) => {
    asked += 1;
    hears.resolve();
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  };
  const kube = { find } as unknown as KubeClient;
  server = new AdmissionServer({ kube, listen: { port: 0 }, review: async () => ({}), logger: silent, lookSeconds: 0.01 });
  server.start();
  await hears.promise;
  // The time of ten looks.
  await sleep(100);
  await server.stop();
  expect(asked).toBe(1);
});

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeServerCertificate } from '../../../../system/certificate.ts';
import { KubeConnection } from '../../../../system/kube/connection.ts';

let directory: string;
let server: Server;
let connection: KubeConnection | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'connection-'));
});
afterEach(async () => {
  vi.useRealTimers();
  await connection?.close();
  server.close();
  rmSync(directory, { recursive: true });
});

test('an API server is trusted by the certificates that stand in their file, also where they are replaced while this process runs', async () => {
  const caFile = join(directory, 'ca.crt');
  /** The API server's, and where its clients read it. */
  const certify = () => {
    const { certificatePem: cert, keyPem: key } = makeServerCertificate(['127.0.0.1'], new Date(), 3_600_000);
    writeFileSync(caFile, cert);
    return { cert, key };
  };
  server = createServer(certify(), (_, response) => response.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'test', server: url, caFile, skipTLSVerify: false }],
    users: [{ name: 'test' }],
    contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
    currentContext: 'test',
  });
  connection = new KubeConnection(config, 'test');
  const ask = async () => (await connection!.send({ method: 'GET', path: '/', signal: AbortSignal.timeout(5000) })).text();
  expect(await ask()).toBe('{}');

  server.setSecureContext(certify());
  server.closeAllConnections();
  // Files are not read again for every request.
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.advanceTimersByTime(60_000);
  expect(await ask()).toBe('{}');
});

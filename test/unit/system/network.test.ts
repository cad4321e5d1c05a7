import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { localHost } from '../../../system/host.ts';
import { listListeningPorts } from '../../../system/network.ts';
import { recordingHost } from './recording-host.ts';

const HEADING = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const REST = '00000000:00000000 00:00000000 00000000     0        0 3263527 2 00000000c649293c 100 0 0 10 0\n';
const ANYBODY = '00000000000000000000000000000000';

const portsIn = (tables: Record<string, string>) => listListeningPorts(recordingHost(() => ({}), tables).host);

test('a port is taken by who listens at it, not by a connection from it', async () => {
  const listening = `   0: 0100007F:4E20 00000000:0000 0A ${REST}`;
  const connected = `   1: 0100007F:4E21 0200000A:1F90 01 ${REST}`;
  expect(await portsIn({ '/proc/net/tcp': HEADING + listening + connected })).toEqual([20_000]);
});

test('who listens at every address of IPv6 takes the port of IPv4 as well', async () => {
  const listening = `   0: ${ANYBODY}:4E22 ${ANYBODY}:0000 0A ${REST}`;
  expect(await portsIn({ '/proc/net/tcp': HEADING, '/proc/net/tcp6': HEADING + listening })).toEqual([20_002]);
});

test('a kernel without IPv6 has one table', async () => {
  expect(await portsIn({ '/proc/net/tcp': HEADING })).toEqual([]);
});

test("a real server's port is found, whatever it listens at", async () => {
  const server = createServer();
  onTestFinished(() => void server.close());
  // By default at `::`, or at 0.0.0.0 where there is no IPv6.
  await new Promise<void>((resolve) => server.listen(0, resolve));
  expect(await listListeningPorts(localHost)).toContain((server.address() as { port: number }).port);
});

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux gives to outgoing connections (`net.ipv4.ip_local_port_range`, 32768 and up): one of those may be in use by the time
 * a server wants to listen on it.
 */
const RANGE = [16_384, 32_768] as const;

const ATTEMPTS_PER_PORT = 50;

/** TCP ports of loopback that nobody listened on a moment ago, at random so that two who ask at once get different ones. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; attempt < count * ATTEMPTS_PER_PORT && ports.size < count; attempt++) {
    const port = randomInt(...RANGE);
    if (await isFree(port)) ports.add(port);
  }
  if (ports.size < count) throw new Error(`fewer than ${count} ports of 127.0.0.1 between ${RANGE[0]} and ${RANGE[1]} are free`);
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

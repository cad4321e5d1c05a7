/** The node's sockets. Source of the format: the kernel's Documentation/networking/proc_net_tcp.rst. */
import type { Host } from './host.ts';

const LISTENING = '0A';

/** Who listens at every address of IPv6 has the port of IPv4, too, and stands in the second table alone. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/** TCP ports that somebody listens on, DRBD's own included. */
export async function listListeningPorts(host: Pick<Host, 'readText'>): Promise<number[]> {
  const tables = await Promise.all(TABLES.map((path) => host.readText(path)));
  return tables.flatMap((table) => parseListeningPorts(table ?? ''));
}

export function parseListeningPorts(text: string): number[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === LISTENING)
    .map(([, local]) => Number.parseInt(local!.split(':')[1]!, 16));
}

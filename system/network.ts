/** The node's sockets. Source of the format: the kernel's Documentation/networking/proc_net_tcp.rst. */
import type { Host } from './host.ts';

const LISTENING = '0A';

/** TCP ports over IPv4 that somebody listens on, DRBD's own included. */
export async function listListeningPorts(host: Host): Promise<number[]> {
  return parseListeningPorts((await host.readText('/proc/net/tcp')) ?? '');
}

export function parseListeningPorts(text: string): number[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === LISTENING)
    .map(([, local]) => Number.parseInt(local!.split(':')[1]!, 16));
}

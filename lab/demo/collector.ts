/**
 * Where acknowledged writes are counted: outside the nodes.
 *
 * A writer sends a number only after fsync has returned, and what arrives here is what it may be held to. A number that was written but never
 * left its node promises nothing to anybody.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { HOST_MANAGEMENT_ADDRESS } from '../machines/index.ts';

/** The host's address in the lab's management network: what reaches it has left the node. */
export const COLLECTOR = { address: HOST_MANAGEMENT_ADDRESS, port: 9099 };

export interface Gap {
  /** Milliseconds since the epoch of the last acknowledgement before the gap and the first after it. */
  readonly from: number;
  readonly to: number;
}

export class Collector {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #received = new Map<string, { number: number; at: number }[]>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens for lines `<writer> <number>`; every writer keeps one connection open. */
  static async listen(): Promise<Collector> {
    const server = createServer();
    const collector = new Collector(server);
    server.on('connection', (socket) => collector.#serve(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(COLLECTOR.port, COLLECTOR.address, resolve);
    });
    return collector;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // A killed node resets its connections: the end of one writer, not of the collector.
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket }).on('line', (line) => this.#take(line));
  }

  #take(line: string): void {
    const match = /^(\S+) (\d+)$/.exec(line);
    if (!match) return;
    const [, writer, number] = match;
    const received = this.#received.get(writer!) ?? [];
    received.push({ number: Number(number), at: Date.now() });
    this.#received.set(writer!, received);
  }

  count(writer: string): number {
    return this.#received.get(writer)?.length ?? 0;
  }

  /** Every acknowledged number, in the order of arrival. */
  numbers(writer: string): number[] {
    return (this.#received.get(writer) ?? []).map(({ number }) => number);
  }

  /** The numbers that arrived within a time, in milliseconds since the epoch. */
  between(writer: string, { from, to }: Gap): number[] {
    return (this.#received.get(writer) ?? []).filter(({ at }) => at >= from && at < to).map(({ number }) => number);
  }

  lastAt(writer: string): number | undefined {
    return this.#received.get(writer)?.at(-1)?.at;
  }

  /** The longest silence between two acknowledgements since `since` (milliseconds since the epoch). */
  longestGap(writer: string, since: number): Gap | undefined {
    const times = (this.#received.get(writer) ?? []).map(({ at }) => at);
    let longest: Gap | undefined;
    for (const [index, to] of times.entries()) {
      const from = times[index - 1];
      if (from === undefined || to < since) continue;
      if (longest === undefined || to - from > longest.to - longest.from) longest = { from, to };
    }
    return longest;
  }

  /** The median silence between two acknowledgements before `until` (milliseconds since the epoch). */
  usualGapSeconds(writer: string, until: number): number {
    const times = (this.#received.get(writer) ?? []).map(({ at }) => at).filter((at) => at < until);
    const gaps = times.slice(1).map((at, index) => at - times[index]!);
    return (gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0) / 1000;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

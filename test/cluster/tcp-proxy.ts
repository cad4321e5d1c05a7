/** A wire that a test can cut or freeze. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #state: 'open' | 'frozen' | 'cut' = 'open';
  /** Connections so far. */
  accepted = 0;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => this.#join(client, connect(targetPort, '127.0.0.1')));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Ends every connection, and every new one at once, until `heal`. */
  cut(): void {
    this.#state = 'cut';
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  /** Connections stay open and carry nothing any more: those that exist for ever, new ones until `heal`. */
  freeze(): void {
    this.#state = 'frozen';
    for (const pair of this.#pairs) for (const socket of pair) socket.unpipe().pause();
  }

  /** What was on its way since `freeze` arrives. */
  thaw(): void {
    this.heal();
    for (const [client, server] of this.#pairs) {
      client.pipe(server);
      server.pipe(client);
    }
  }

  heal(): void {
    this.#state = 'open';
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket, server: Socket): void {
    const pair = [client, server] as const;
    if (this.#state === 'cut') {
      for (const socket of pair) socket.destroy();
      return;
    }
    this.accepted += 1;
    this.#pairs.add(pair);
    for (const socket of pair) {
      // A broken connection is what this is for.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#pairs.delete(pair);
        for (const either of pair) either.destroy();
      });
    }
    if (this.#state === 'frozen') return;
    client.pipe(server);
    server.pipe(client);
  }
}

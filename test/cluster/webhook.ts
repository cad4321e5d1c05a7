/** The webhook as deploy/ has it, called by the API server of a test at whichever of its controllers is there. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeClient, NewObject } from '../../system/kube/client.ts';
import { type MutatingWebhookConfiguration, mutatingWebhookConfigurations } from '../../system/kube/resources.ts';

/** A Service of Kubernetes: every connection goes to the first port that answers. */
export class Balancer {
  /** Of the controllers; the order is that of preference. */
  readonly ports: number[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((client) => this.#join(client, [...this.ports]));
  }

  static async start(): Promise<Balancer> {
    const balancer = new Balancer();
    balancer.#server.listen(0, '127.0.0.1');
    await once(balancer.#server, 'listening');
    return balancer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(client: Socket, [port, ...others]: readonly number[]): void {
    if (port === undefined) return void client.destroy();
    const server = connect(port, '127.0.0.1');
    this.#sockets.add(client).add(server);
    let connected = false;
    client.on('error', () => undefined);
    server.once('connect', () => {
      connected = true;
      client.pipe(server).pipe(client);
      client.once('close', () => server.destroy());
      server.once('close', () => client.destroy());
    });
    server.once('error', () => {
      if (!connected) this.#join(client, others);
    });
  }
}

/** Without anybody's certificate yet. */
export async function createWebhook(client: KubeClient, port: number): Promise<MutatingWebhookConfiguration> {
  const file = join(resolve(import.meta.dirname, '../..'), 'deploy/admission-webhook.yaml');
  const manifest = parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => document.toJS() as NewObject<MutatingWebhookConfiguration> & { kind: string })
    .find(({ kind }) => kind === 'MutatingWebhookConfiguration')!;
  const webhooks = manifest.webhooks!.map((webhook) => ({
    ...webhook,
    // A machine that is busy with other tests answers late; what is late is a pod that is created as it is.
    timeoutSeconds: 30,
    clientConfig: { url: `https://127.0.0.1:${port}${webhook.clientConfig.service!.path}` },
  }));
  return client.create(mutatingWebhookConfigurations, { ...manifest, webhooks });
}

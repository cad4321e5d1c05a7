/**
 * Serves the API server's questions about new pods over TLS, and sees to it that the API server trusts it.
 *
 * Every controller serves, whichever leads: the API server may ask any of them. Each makes a certificate of its own, whose key never leaves its memory,
 * and adds it to the `caBundle` of the MutatingWebhookConfiguration; those of controllers that are gone run out there. So nothing is to be prepared, kept
 * or renewed by anybody, and a restart costs nothing.
 *
 *   no certificate, other names, half its time gone -> made -> added to the caBundle (compare and swap) -> served
 *
 * It is looked at every few seconds, so that a configuration that was applied again, or made later, is put right.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeServerCertificate, type ServerCertificate, withOwnCertificate } from '../../system/certificate.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { type MutatingWebhookConfiguration, mutatingWebhookConfigurations } from '../../system/kube/resources.ts';
import type { Logger } from '../logging.ts';

export interface AdmissionServerOptions {
  readonly kube: KubeClient;
  readonly listen: { readonly host?: string | undefined; readonly port: number };
  /** Answers an AdmissionReview by one. */
  readonly review: (body: unknown) => Promise<object>;
  readonly logger: Logger;
  /** From a look at the configuration to the next. Default 10. */
  readonly lookSeconds?: number;
}

/** Name of the MutatingWebhookConfiguration, and the path that it calls. */
export const WEBHOOK_CONFIGURATION = 'rehome-controller';
const PATH = '/pods';

const VALID_MILLISECONDS = 24 * 3600 * 1000;
const DEFAULT_LOOK_SECONDS = 10;
/** More controllers than anybody runs, and as many restarts in a day as their certificates may be kept of. */
const MAXIMUM_CERTIFICATES = 16;
const LARGEST_BODY_BYTES = 8 * 2 ** 20;

export class AdmissionServer {
  readonly #options: AdmissionServerOptions;
  #server: Server | undefined;
  #own: ServerCertificate | undefined;
  #served: ServerCertificate | undefined;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #trouble: string | undefined;

  constructor(options: AdmissionServerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { lookSeconds = DEFAULT_LOOK_SECONDS } = this.#options;
    while (!signal.aborted) {
      await this.#look();
      await sleep(lookSeconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }

  /** What fails is tried again: until then pods are created as they are. */
  async #look(): Promise<void> {
    const { logger } = this.#options;
    try {
      await this.#ensureServed();
      this.#trouble = undefined;
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#trouble) logger.warn({ error }, 'new pods are not looked at, tried again');
      this.#trouble = message;
    }
  }

  async #ensureServed(): Promise<void> {
    const { kube, logger } = this.#options;
    const found = await kube.find(mutatingWebhookConfigurations, { name: WEBHOOK_CONFIGURATION }, { signal: this.#stopped.signal });
    if (!found) throw new Error(`there is no MutatingWebhookConfiguration ${WEBHOOK_CONFIGURATION}: apply deploy/admission-webhook.yaml`);
    const names = serverNames(found);
    if (names.length === 0) throw new Error(`MutatingWebhookConfiguration ${WEBHOOK_CONFIGURATION} has no webhook`);
    const now = new Date();
    const own = this.#isGoodFor(names, now) ? this.#own! : makeServerCertificate(names, now, VALID_MILLISECONDS);
    const wasTrusted = await this.#trust(found, own, now);
    this.#own = own;
    const isServed = this.#server?.listening === true;
    // The API server hears of it a moment later. Until the next look the one before is good.
    if (isServed && (own === this.#served || !wasTrusted)) return;
    await this.#serve(own);
    this.#served = own;
    logger.info({ names, notAfter: own.notAfter }, 'new pods are looked at');
  }

  #isGoodFor(names: readonly string[], now: Date): boolean {
    if (!this.#own) return false;
    const half = this.#own.notAfter.getTime() - VALID_MILLISECONDS / 2;
    return this.#own.names.join() === names.join() && now.getTime() < half;
  }

  /** @returns whether it was trusted already. @throws {KubeError} 422 where somebody else has changed it at this moment. */
  async #trust({ metadata, webhooks = [] }: MutatingWebhookConfiguration, own: ServerCertificate, now: Date): Promise<boolean> {
    const bundles = webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString());
    const wanted = bundles.map((bundle) => withOwnCertificate(bundle, own.certificatePem, now, MAXIMUM_CERTIFICATES));
    if (wanted.every((bundle, index) => bundle === bundles[index])) return true;
    const operations = [
      { op: 'test' as const, path: '/metadata/resourceVersion', value: metadata.resourceVersion },
      ...wanted.map((bundle, index) => ({
        op: 'add' as const,
        path: `/webhooks/${index}/clientConfig/caBundle`,
        value: Buffer.from(bundle).toString('base64'),
      })),
    ];
    await this.#options.kube.jsonPatch(mutatingWebhookConfigurations, metadata, operations, { signal: this.#stopped.signal });
    return false;
  }

  async #serve({ certificatePem: cert, keyPem: key }: ServerCertificate): Promise<void> {
    if (this.#server?.listening) return this.#server.setSecureContext({ cert, key });
    const { host, port } = this.#options.listen;
    const server = createServer({ cert, key }, (request, response) => void this.#answer(request, response));
    this.#server = server;
    server.listen(port, host);
    await once(server, 'listening');
    server.on('error', (error) => this.#options.logger.warn({ error }, 'the server for new pods has failed'));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A connection that is kept is what the API server's next question is lost on when this process ends.
    response.shouldKeepAlive = false;
    try {
      const { method, url = '' } = request;
      const [path] = url.split('?');
      if (method === 'GET' && path === '/healthz') return void response.end('ok');
      if (method !== 'POST' || path !== PATH) return void response.writeHead(404).end();
      const answer = await this.#options.review(JSON.parse(await textOf(request)));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    } catch (error) {
      this.#options.logger.warn({ error }, 'a question about a new pod could not be answered');
      response.writeHead(400).end();
    }
  }
}

/** @throws where it is longer than any question of the API server: whoever reaches the port could fill the memory. */
async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LARGEST_BODY_BYTES) throw new Error(`it has more than ${LARGEST_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** At which the API server calls: the Service's, or that of a URL. */
function serverNames({ webhooks = [] }: MutatingWebhookConfiguration): readonly string[] {
  const names = webhooks.flatMap(({ clientConfig: { service, url } }) => {
    if (service) return [`${service.name}.${service.namespace}.svc`];
    return url === undefined ? [] : [new URL(url).hostname];
  });
  return [...new Set(names)].sort();
}

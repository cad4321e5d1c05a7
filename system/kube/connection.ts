/**
 * HTTP to one API server with the credentials of a KubeConfig.
 *
 * The client library knows every way to authenticate, but makes a new TLS connection for each request. Here connections are kept and used again.
 */
import type { RequestOptions as HttpsRequestOptions } from 'node:https';
import { isDeepStrictEqual } from 'node:util';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, request } from 'undici';
import { KubeError } from './errors.ts';

export interface HttpRequest {
  readonly method: Dispatcher.HttpMethod;
  readonly path: string;
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly content?: { readonly type: string; readonly body: unknown };
  /** Ends the request and the reading of its answer. */
  readonly signal: AbortSignal;
}

/** Tokens in files are renewed by the kubelet minutes before their end; the library itself reads them once a minute. */
const CREDENTIALS_MAX_AGE_MILLISECONDS = 30_000;
const CONNECT_TIMEOUT_MILLISECONDS = 5_000;
/** The API server closes what is idle for 90 s; the transport would do it after 4 s, and a handshake costs more than most requests. */
const KEPT_IDLE_MILLISECONDS = 60_000;

/** @param file of the kubeconfig; without it the pod's service account. @throws where neither can be read. */
export function loadKubeConfig(file?: string): KubeConfig {
  const config = new KubeConfig();
  if (file === undefined) config.loadFromCluster();
  else config.loadFromFile(file);
  return config;
}

export class KubeConnection {
  readonly #config: KubeConfig;
  readonly #server: string;
  readonly #userAgent: string;
  #agent: Agent | undefined;
  /** What it trusts, and is known by. */
  #tls: Readonly<Record<string, unknown>> = {};
  #credentials: { readonly headers: Record<string, string>; readonly readAt: number } | undefined;

  /** @throws where the configuration names no cluster. */
  constructor(config: KubeConfig, userAgent: string) {
    const cluster = config.getCurrentCluster();
    if (!cluster) throw new Error('the kubeconfig names no cluster: set its current-context');
    this.#config = config;
    this.#server = cluster.server.replace(/\/+$/, '');
    this.#userAgent = userAgent;
  }

  /** @returns the answer's body, unread, where the status is 2xx. @throws {KubeError} for any other status, and where no answer came. */
  async send({ method, path, query = {}, content, signal }: HttpRequest): Promise<Dispatcher.ResponseData['body']> {
    const description = `${method} ${path}`;
    const url = new URL(this.#server + path);
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
    try {
      const { headers, agent } = await this.#prepare();
      const asked = request(url, {
        method,
        dispatcher: agent,
        headers: { ...headers, accept: 'application/json', ...(content && { 'content-type': content.type }) },
        body: content ? JSON.stringify(content.body) : null,
        signal,
      });
      const answer = await endedBy(signal, asked);
      if (answer.statusCode >= 200 && answer.statusCode < 300) return answer.body;
      throw KubeError.fromAnswer(description, answer.statusCode, await answer.body.text());
    } catch (error) {
      throw error instanceof KubeError ? error : KubeError.noAnswer(description, error);
    }
  }

  /** Ends the connections that are kept; requests under way are ended with them. */
  async close(): Promise<void> {
    await this.#agent?.destroy();
  }

  async #prepare(): Promise<{ readonly headers: Record<string, string>; readonly agent: Agent }> {
    if (this.#agent && this.#credentials && performance.now() - this.#credentials.readAt < CREDENTIALS_MAX_AGE_MILLISECONDS) {
      return { headers: this.#credentials.headers, agent: this.#agent };
    }
    const headers: Record<string, string> = { 'user-agent': this.#userAgent };
    const options: HttpsRequestOptions = { headers };
    await this.#config.applyToHTTPSOptions(options);
    if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    this.#credentials = { headers, readAt: performance.now() };

    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const given = Object.entries({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }).filter(
      ([, value]) => value !== undefined,
    );
    const tls = Object.fromEntries(given);
    if (this.#agent && isDeepStrictEqual(tls, this.#tls)) return { headers, agent: this.#agent };
    // Certificates are replaced in their files while this process runs. Whoever still uses a connection of the old ones keeps it until its end.
    this.#agent?.close().catch(() => undefined);
    this.#tls = tls;
    // HTTP/2 would put all watches and requests on one connection, where a stalled one holds up the others.
    this.#agent = new Agent({
      allowH2: false,
      keepAliveTimeout: KEPT_IDLE_MILLISECONDS,
      connect: { timeout: CONNECT_TIMEOUT_MILLISECONDS, ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 },
    });
    return { headers, agent: this.#agent };
  }
}

/** The transport heeds a signal only once it has a connection: where none comes about, this is the time limit. */
async function endedBy<T>(signal: AbortSignal, asked: Promise<T>): Promise<T> {
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  // Once the limit has passed, nobody hears how it went on.
  asked.catch(() => undefined);
  try {
    return await Promise.race([asked, ended.promise]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

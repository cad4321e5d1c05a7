/**
 * The little of the Kubernetes API that the lab's own processes need, over undici.
 *
 * Not the project's client on purpose: a mistake in that one must not hide in the lab. And three kubelets with a full client library would cost
 * 400 MB and seconds of start.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';

/** The API server's refusal. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly statusCode: number;
  /** As in metav1.Status: `NotFound`, `Conflict`, `AlreadyExists`, ... */
  readonly reason: string;

  constructor(method: string, path: string, statusCode: number, body: string) {
    const { reason = '', message = body } = parseStatus(body);
    super(`${method} ${path}: ${statusCode} ${message}`);
    this.statusCode = statusCode;
    this.reason = reason;
  }
}

export type PatchType = 'application/merge-patch+json' | 'application/strategic-merge-patch+json' | 'application/json-patch+json';

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/** Seconds after which the server ends a watch, so that one that has silently died is found. */
const WATCH_SECONDS = 60;

export class ApiClient {
  readonly #server: string;
  readonly #dispatcher: Agent;

  /** @param kubeconfigFile as `writeKubeconfig` makes it. */
  constructor(kubeconfigFile: string) {
    const kubeconfig = JSON.parse(readFileSync(kubeconfigFile, 'utf8'));
    const decode = (data: string): Buffer => Buffer.from(data, 'base64');
    this.#server = kubeconfig.clusters[0].cluster.server;
    this.#dispatcher = new Agent({
      connect: {
        ca: decode(kubeconfig.clusters[0].cluster['certificate-authority-data']),
        cert: decode(kubeconfig.users[0].user['client-certificate-data']),
        key: decode(kubeconfig.users[0].user['client-key-data']),
        timeout: 5000,
      },
      headersTimeout: 15_000,
      bodyTimeout: 15_000,
    });
  }

  get server(): { readonly host: string; readonly port: string } {
    const { hostname, port } = new URL(this.#server);
    return { host: hostname, port };
  }

  /** @throws ApiError with the checks that fail. */
  async isReady(): Promise<boolean> {
    const { statusCode, body } = await request(`${this.#server}/readyz`, { dispatcher: this.#dispatcher });
    const text = await body.text();
    if (statusCode !== 200) throw new ApiError('GET', '/readyz', statusCode, text);
    return true;
  }

  get<T>(path: string): Promise<T> {
    return this.#call('GET', path);
  }

  /** @returns undefined where there is no such object. */
  async find<T>(path: string): Promise<T | undefined> {
    return orUndefined(this.get<T>(path), 404);
  }

  create<T>(path: string, object: object): Promise<T> {
    return this.#call('POST', path, object);
  }

  /** Does nothing where an object of that name exists. */
  async ensure(path: string, object: object): Promise<void> {
    await orUndefined(this.create(path, object), 409);
  }

  patch<T>(path: string, patch: object, type: PatchType = 'application/merge-patch+json'): Promise<T> {
    return this.#call('PATCH', path, patch, type);
  }

  /** Does nothing where there is no such object. @param options as metav1.DeleteOptions. */
  async delete(path: string, options: object = {}): Promise<void> {
    await orUndefined(this.#call('DELETE', path, options), 404);
  }

  /**
   * Follows the changes after `resourceVersion`; returns when the server ends the watch, which it does once a minute. @throws ApiError, or of the
   * connection.
   */
  async watch<T>(path: string, resourceVersion: string, onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal): Promise<void> {
    const parameters = new URLSearchParams({ watch: 'true', resourceVersion, timeoutSeconds: String(WATCH_SECONDS) });
    const address = `${this.#server}${path}${path.includes('?') ? '&' : '?'}${parameters}`;
    const limits = { headersTimeout: WATCH_SECONDS * 1000, bodyTimeout: 2 * WATCH_SECONDS * 1000 };
    const response = await request(address, { dispatcher: this.#dispatcher, signal, ...limits });
    if (response.statusCode !== 200) throw new ApiError('WATCH', path, response.statusCode, await response.body.text());
    for await (const line of createInterface({ input: response.body })) onEvent(JSON.parse(line) as WatchEvent<T>);
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #call<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object, type = 'application/json'): Promise<T> {
    const content = body ? { body: JSON.stringify(body), headers: { 'content-type': type } } : {};
    const response = await request(`${this.#server}${path}`, { method, dispatcher: this.#dispatcher, ...content });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new ApiError(method, path, response.statusCode, text);
    return JSON.parse(text) as T;
  }
}

async function orUndefined<T>(call: Promise<T>, statusCode: number): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ApiError && error.statusCode === statusCode) return undefined;
    throw error;
  }
}

function parseStatus(body: string): { reason?: string; message?: string } {
  try {
    return JSON.parse(body) as { reason?: string; message?: string };
  } catch {
    return {};
  }
}

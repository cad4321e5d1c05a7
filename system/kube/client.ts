/**
 * The API server, as this project uses it: get, list, create, patch, delete and watch, of any kind that `resources.ts` names.
 *
 * Objects are the JSON that travels: the client library's generated calls drop the fields they do not know and turn times into objects. Every
 * request has a time limit. Nothing is retried here: whoever asks knows whether a repeat is safe.
 */
import type { KubeConfig } from '@kubernetes/client-node';
import { type HttpRequest, KubeConnection } from './connection.ts';
import { isNotFound, KubeError } from './errors.ts';
import { apiVersionOf, type KubeObject, type ObjectName, pathOf, type Resource } from './resources.ts';

/** RFC 7386: what is named is set, null removes, lists are replaced whole. */
export type MergePatch<T> = T extends readonly (infer Item)[]
  ? readonly Item[]
  : T extends object
    ? { readonly [K in keyof T]?: MergePatch<T[K]> | null }
    : T;

/** RFC 6902. A `test` that does not hold answers 422. */
export type JsonPatchOperation =
  | { readonly op: 'test' | 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** What is sent to create an object: apiVersion and kind come from its resource. */
export type NewObject<T extends KubeObject> = Partial<Omit<T, 'metadata'>> & { readonly metadata: Partial<T['metadata']> };

export interface RequestOptions {
  /** Default 30. */
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

export interface WriteOptions extends RequestOptions {
  /** The API server checks and answers as always, but stores nothing. */
  readonly dryRun?: boolean;
}

export interface PatchOptions extends WriteOptions {
  readonly subresource?: 'status';
}

export interface DeleteOptions extends WriteOptions {
  /** 409 unless they hold. */
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
}

/** Which objects of a kind. */
export interface Selection {
  /** All namespaces where it is left out. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Of the whole list: a watch from here misses nothing. */
  readonly resourceVersion: string;
}

export interface WatchOptions extends RequestOptions, Selection {
  readonly resourceVersion: string;
  /** The API server ends the watch after this time. */
  readonly serverTimeoutSeconds: number;
  /** Called for every sign of life of the connection. */
  readonly onContact?: () => void;
}

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

const DEFAULT_TIMEOUT_SECONDS = 30;
const PAGE_SIZE = 500;

export class KubeClient {
  readonly #connection: KubeConnection;
  readonly #name: string;

  /** @param name says who writes (field manager, user agent): `rehome-controller`, `rehome-agent`. @throws where the configuration names no cluster. */
  constructor(config: KubeConfig, name: string) {
    this.#connection = new KubeConnection(config, name);
    this.#name = name;
  }

  /** @throws {KubeError} also where there is no such object. */
  async get<T extends KubeObject>(resource: Resource<T>, name: ObjectName, options: RequestOptions = {}): Promise<T> {
    return this.#json<T>({ method: 'GET', path: pathOf(resource, name) }, options);
  }

  /** @returns undefined where there is no such object. @throws {KubeError} */
  async find<T extends KubeObject>(resource: Resource<T>, name: ObjectName, options: RequestOptions = {}): Promise<T | undefined> {
    try {
      return await this.get(resource, name, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * All objects of the selection, page by page at one resourceVersion. @throws {KubeError} 410 where the pages took longer than the server keeps a
   * snapshot.
   */
  async *pages<T extends KubeObject>(
    resource: Resource<T>,
    selection: Selection = {},
    options: RequestOptions = {},
  ): AsyncGenerator<Page<T>> {
    const { namespace, ...selectors } = selection;
    let token: string | undefined;
    do {
      const query = { ...selectors, limit: PAGE_SIZE, continue: token };
      const path = collectionPath(resource, namespace);
      const list = await this.#json<{ items: T[]; metadata: { resourceVersion: string; continue?: string } }>(
        { method: 'GET', path, query },
        options,
      );
      yield { items: list.items, resourceVersion: list.metadata.resourceVersion };
      token = list.metadata.continue;
    } while (token);
  }

  /** @throws {KubeError} */
  async list<T extends KubeObject>(resource: Resource<T>, selection: Selection = {}, options: RequestOptions = {}): Promise<T[]> {
    const items: T[] = [];
    for await (const page of this.pages(resource, selection, options)) items.push(...page.items);
    return items;
  }

  /** @throws {KubeError} */
  async create<T extends KubeObject>(resource: Resource<T>, object: NewObject<T>, options: WriteOptions = {}): Promise<T> {
    const { namespace } = object.metadata;
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    if (resource.namespaced && namespace === undefined) throw new Error(`${resource.kind} ${object.metadata.name} has no namespace`);
    const content = { type: 'application/json', body };
    return this.#json<T>({ method: 'POST', path: collectionPath(resource, namespace), query: this.#writeQuery(options), content }, options);
  }

  /** With `metadata.resourceVersion` in the patch this is a compare-and-swap: 409 where the object has changed since. @throws {KubeError} */
  async mergePatch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    patch: MergePatch<T>,
    options: PatchOptions = {},
  ): Promise<T> {
    return this.#patch(resource, name, 'application/merge-patch+json', patch, options);
  }

  /** @throws {KubeError} 422 where a `test` does not hold. */
  async jsonPatch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    operations: readonly JsonPatchOperation[],
    options: PatchOptions = {},
  ): Promise<T> {
    return this.#patch(resource, name, 'application/json-patch+json', operations, options);
  }

  /** Returns when the API server has accepted it: finalizers may keep the object. @throws {KubeError} also where there is no such object. */
  async delete<T extends KubeObject>(resource: Resource<T>, name: ObjectName, options: DeleteOptions = {}): Promise<void> {
    const { preconditions, gracePeriodSeconds, propagationPolicy } = options;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions, gracePeriodSeconds, propagationPolicy };
    const query = options.dryRun ? { dryRun: 'All' } : {};
    await this.#json({ method: 'DELETE', path: pathOf(resource, name), query, content: { type: 'application/json', body } }, options);
  }

  /**
   * What happens to a selection from a resourceVersion on, bookmarks included, until the server ends the watch. The time limit is that of the
   * answer's beginning; a connection that falls silent is the caller's to notice (`onContact`, `signal`).
   * @throws {KubeError} 410 where the resourceVersion is too old, also in the midst of a watch.
   */
  async *watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const { namespace, labelSelector, fieldSelector, resourceVersion, serverTimeoutSeconds } = options;
    const path = collectionPath(resource, namespace);
    const query = {
      labelSelector,
      fieldSelector,
      resourceVersion,
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds: serverTimeoutSeconds,
    };
    const description = `GET ${path}`;
    const unanswered = new AbortController();
    const timer = setTimeout(() => unanswered.abort(new DOMException('no answer in time', 'TimeoutError')), timeoutOf(options));
    try {
      const signal = either(unanswered.signal, options.signal);
      const body = await this.#connection.send({ method: 'GET', path, query, signal });
      clearTimeout(timer);
      options.onContact?.();
      for await (const line of lines(body, options.onContact)) {
        const event: { type: WatchEvent<T>['type'] | 'ERROR'; object: T & { code?: number } } = JSON.parse(line);
        if (event.type === 'ERROR') throw KubeError.fromAnswer(description, event.object.code ?? 500, JSON.stringify(event.object));
        yield { type: event.type, object: event.object };
      }
    } catch (error) {
      throw error instanceof KubeError ? error : KubeError.noAnswer(description, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the connections that are kept open between requests, and requests under way with them. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #patch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    type: string,
    body: unknown,
    options: PatchOptions,
  ): Promise<T> {
    const path = pathOf(resource, name, options.subresource);
    return this.#json<T>({ method: 'PATCH', path, query: this.#writeQuery(options), content: { type, body } }, options);
  }

  #writeQuery(options: WriteOptions): NonNullable<HttpRequest['query']> {
    return { fieldManager: this.#name, dryRun: options.dryRun ? 'All' : undefined };
  }

  async #json<T>(request: Omit<HttpRequest, 'signal'>, options: RequestOptions): Promise<T> {
    const signal = either(AbortSignal.timeout(timeoutOf(options)), options.signal);
    const body = await this.#connection.send({ ...request, signal });
    try {
      return (await body.json()) as T;
    } catch (error) {
      throw KubeError.noAnswer(`${request.method} ${request.path}`, signal.aborted ? signal.reason : error);
    }
  }
}

function collectionPath<T extends KubeObject>(resource: Resource<T>, namespace: string | undefined): string {
  return pathOf(resource, namespace === undefined ? {} : { namespace });
}

function timeoutOf({ timeoutSeconds = DEFAULT_TIMEOUT_SECONDS }: RequestOptions): number {
  return Math.ceil(timeoutSeconds * 1000);
}

function either(limit: AbortSignal, given: AbortSignal | undefined): AbortSignal {
  return given ? AbortSignal.any([limit, given]) : limit;
}

async function* lines(body: AsyncIterable<Uint8Array>, onContact: (() => void) | undefined): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    onContact?.();
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part !== '') yield part;
  }
}

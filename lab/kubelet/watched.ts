/** Keeps the objects of one list, true but for the time that a change takes to arrive. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../cluster/api-client.ts';
import type { Metadata } from './objects.ts';

interface WatchedObject {
  readonly metadata: Metadata;
}

interface List<T> {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly T[];
}

export class Watched<T extends WatchedObject> {
  readonly #client: ApiClient;
  readonly #path: string;
  readonly #onChange: () => void;
  #objects: ReadonlyMap<string, T> | undefined;

  /** @param path of the list, with its selectors. @param onChange is called after each change, without saying which. */
  constructor(client: ApiClient, path: string, onChange: () => void) {
    this.#client = client;
    this.#path = path;
    this.#onChange = onChange;
  }

  /** By uid; undefined until the first list has come. */
  get objects(): ReadonlyMap<string, T> | undefined {
    return this.#objects;
  }

  /** Lists and watches until the signal; an API server that is away is asked again every half second. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#listAndWatch(signal);
      } catch (error) {
        if (!signal.aborted) console.log(`${this.#path}: ${error instanceof Error ? error.message : error}`);
        await sleep(500);
      }
    }
  }

  async #listAndWatch(signal: AbortSignal): Promise<void> {
    const list = await this.#client.get<List<T>>(this.#path);
    this.#set(new Map(list.items.map((item) => [item.metadata.uid, item])));
    let failure: string | undefined;
    await this.#client.watch<T>(
      this.#path,
      list.metadata.resourceVersion,
      ({ type, object }) => {
        if (type === 'ERROR') failure = (object as { message?: string }).message ?? 'the watch failed';
        else if (!failure) this.#set(changed(this.#objects, type === 'DELETED', object));
      },
      signal,
    );
    if (failure) throw new Error(failure);
  }

  #set(objects: ReadonlyMap<string, T>): void {
    this.#objects = objects;
    this.#onChange();
  }
}

function changed<T extends WatchedObject>(
  objects: ReadonlyMap<string, T> | undefined,
  deleted: boolean,
  object: T,
): ReadonlyMap<string, T> {
  const result = new Map(objects);
  if (deleted) result.delete(object.metadata.uid);
  else result.set(object.metadata.uid, object);
  return result;
}

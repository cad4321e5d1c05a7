/** Syncs of fake agents, each of which lasts until the test lets its volume's end. */
export class HeldSyncs {
  readonly #syncs = new Map<string, { readonly begun: PromiseWithResolvers<void>; readonly mayEnd: PromiseWithResolvers<void> }>();

  /** For the agents. */
  readonly synced = (volume: string): Promise<void> => {
    const { begun, mayEnd } = this.#of(volume);
    begun.resolve();
    return mayEnd.promise;
  };

  /** Resolves when one of the volume has begun. */
  begun(volume: string): Promise<void> {
    return this.#of(volume).begun.promise;
  }

  /** Also those that begin later. */
  letEnd(volume: string): void {
    this.#of(volume).mayEnd.resolve();
  }

  letAllEnd(): void {
    for (const volume of this.#syncs.keys()) this.letEnd(volume);
  }

  #of(volume: string) {
    const sync = this.#syncs.get(volume) ?? { begun: Promise.withResolvers<void>(), mayEnd: Promise.withResolvers<void>() };
    this.#syncs.set(volume, sync);
    return sync;
  }
}

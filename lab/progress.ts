/** Says what is being done and how long it took, for people who wait. */

export class Steps {
  readonly #write: (line: string) => void;
  readonly #startedAt: number;

  constructor(write: (line: string) => void = (line) => console.log(line), startedAt = Date.now()) {
    this.#write = write;
    this.#startedAt = startedAt;
  }

  /** The same beginning, but lines go there: to whoever draws on the terminal meanwhile. */
  through(write: (line: string) => void): Steps {
    return new Steps(write, this.#startedAt);
  }

  /** Runs one step and says its time when it is done. Steps may overlap: each line stands for itself. */
  async run<T>(what: string, step: () => Promise<T>): Promise<T> {
    const startedAt = Date.now();
    const result = await step();
    this.say(`${what} (${seconds(Date.now() - startedAt)} s)`);
    return result;
  }

  /** A line with the time since the beginning. */
  readonly say = (message: string): void => {
    this.#write(`[${seconds(Date.now() - this.#startedAt).padStart(6)} s] ${message}`);
  };
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}

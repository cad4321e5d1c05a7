/** The migrations as they go: drawn in place on a terminal; elsewhere a line whenever something changed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Migration, renderTable } from './migrations.ts';

const PERIOD_MS = 1000;

export class LiveTable {
  readonly #read: () => Promise<Migration[]>;
  readonly #output: NodeJS.WriteStream;
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;
  #drawn = 0;
  /** Lines that stand on the output as they are now. */
  #shown: readonly string[] = [];

  constructor(read: () => Promise<Migration[]>, output: NodeJS.WriteStream = process.stdout) {
    this.#read = read;
    this.#output = output;
    this.#done = this.#run();
  }

  /** A line of its own above the table. */
  say(line: string): void {
    this.#erase();
    this.#output.write(`${line}\n`);
  }

  /** Draws the last state and stops. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#draw();
      await sleep(PERIOD_MS, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
    await this.#draw();
  }

  async #draw(): Promise<void> {
    let migrations: Migration[];
    try {
      migrations = await this.#read();
    } catch (error) {
      this.say(`the table could not be read: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    if (migrations.length === 0) return;
    const { isTTY, columns = 160, rows } = this.#output;
    const lines = renderTable(migrations, columns, isTTY ? rows : undefined);
    const news = lines.filter((line) => !this.#shown.includes(squeezed(line)));
    if (news.length === 0 && lines.length === this.#shown.length) return;
    this.#erase();
    this.#output.write((isTTY ? lines : news).map((line) => `${line}\n`).join(''));
    this.#drawn = lines.length;
    this.#shown = lines.map(squeezed);
  }

  #erase(): void {
    if (!this.#output.isTTY) return;
    if (this.#drawn > 0) this.#output.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
    this.#shown = [];
  }
}

/** Columns are as wide as their widest cell: a line whose neighbour has changed is no other line. */
function squeezed(line: string): string {
  return line.replaceAll(/ +/g, ' ');
}

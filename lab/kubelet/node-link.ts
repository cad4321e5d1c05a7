/**
 * The kubelet's line to its node: one ssh session that reports, every two seconds and whenever something changed. While reports come the node
 * answers; when none has come for a while, it does not, whatever the reason.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../machines/index.ts';
import { RUNTIME } from './node-scripts.ts';
import { type NodeSnapshot, parseSnapshot } from './node-snapshot.ts';

/** Three reports missed, and a busy emulated processor. */
const SILENCE_SECONDS = 8;

export class NodeLink {
  readonly #machine: Machine;
  readonly #onReport: () => void;
  #snapshot: NodeSnapshot | undefined;
  #heardAt = 0;

  /** @param onReport is called after each report, and when the node has stopped answering. */
  constructor(machine: Machine, onReport: () => void) {
    this.#machine = machine;
    this.#onReport = onReport;
  }

  /** What runs on the node; undefined while it does not answer. */
  get snapshot(): NodeSnapshot | undefined {
    return Date.now() - this.#heardAt < SILENCE_SECONDS * 1000 ? this.#snapshot : undefined;
  }

  /** Milliseconds since the epoch of the last report. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** Connects, and again whenever the connection is lost, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#machine.isRunning()) await this.#followReports(signal);
      } catch (error) {
        console.log(`the node does not answer: ${error instanceof Error ? error.message : error}`);
      }
      this.#snapshot = undefined;
      this.#onReport();
      await sleep(500);
    }
  }

  async #followReports(signal: AbortSignal): Promise<void> {
    const runtime = await readFile(join(import.meta.dirname, 'node-runtime.sh'));
    const directory = RUNTIME.slice(0, RUNTIME.lastIndexOf('/'));
    const install = `mkdir -p ${directory} && cat > ${RUNTIME}.new && chmod +x ${RUNTIME}.new && mv ${RUNTIME}.new ${RUNTIME} && ${RUNTIME} initialise`;
    await this.#machine.exec(install, { stdin: runtime, timeoutSeconds: 10 });

    const session = this.#machine.spawn(`exec ${RUNTIME} report`);
    const end = (): void => void session.kill('SIGKILL');
    signal.addEventListener('abort', end, { once: true });
    this.#heardAt = Date.now();
    const watchdog = setInterval(() => {
      if (Date.now() - this.#heardAt > SILENCE_SECONDS * 1000) end();
    }, 500);
    try {
      let lines: string[] = [];
      for await (const line of createInterface({ input: session.stdout! })) {
        if (line !== 'end') lines.push(line);
        else {
          this.#take(lines);
          lines = [];
        }
      }
    } finally {
      clearInterval(watchdog);
      signal.removeEventListener('abort', end);
      end();
    }
  }

  #take(lines: readonly string[]): void {
    this.#snapshot = parseSnapshot(lines);
    this.#heardAt = Date.now();
    this.#onReport();
  }
}

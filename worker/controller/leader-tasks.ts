/**
 * What only one controller at a time does, and none beside a HwameiStor that it is told of: triggers and reconcilers.
 *
 *   wanted = this controller leads, and HwameiStor is absent
 *   stopped --wanted--> running --not wanted--> stopped
 *
 * Starts and stops follow each other in order, however fast the wish changes; the last one counts.
 */
import type { Logger } from '../logging.ts';

/** Starts at once; `stop` returns when nothing of it runs any more. May be started again. */
export interface LeaderTask {
  start(): void;
  stop(): Promise<void>;
}

export class LeaderTasks {
  readonly #what: string;
  readonly #create: () => readonly LeaderTask[];
  readonly #logger: Logger;
  #leads = false;
  #hwameistorIsLive = false;
  #running: readonly LeaderTask[] = [];
  #settled: Promise<void> = Promise.resolve();

  /** @param what they are, for the log. @param create makes them anew for each term: what a task remembers of an earlier one may be wrong. */
  constructor(what: string, create: () => readonly LeaderTask[], logger: Logger) {
    this.#what = what;
    this.#create = create;
    this.#logger = logger;
  }

  setLeads(leads: boolean): void {
    this.#leads = leads;
    this.#settle();
  }

  setHwameistorIsLive(isLive: boolean): void {
    this.#hwameistorIsLive = isLive;
    this.#settle();
  }

  /** Returns when what runs is what was wished last. */
  async settled(): Promise<void> {
    await this.#settled;
  }

  async stop(): Promise<void> {
    this.setLeads(false);
    await this.#settled;
  }

  #settle(): void {
    this.#settled = this.#settled.then(async () => {
      const wanted = this.#leads && !this.#hwameistorIsLive;
      if (wanted === this.#running.length > 0) return;
      this.#logger.info(`${this.#what} ${wanted ? 'start' : 'stop'}`);
      if (wanted) {
        this.#running = this.#create();
        for (const task of this.#running) task.start();
      } else {
        const ended = this.#running;
        this.#running = [];
        await Promise.all(ended.map((task) => task.stop()));
      }
    });
  }
}

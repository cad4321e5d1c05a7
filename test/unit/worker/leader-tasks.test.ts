import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { type LeaderTask, LeaderTasks } from '../../../worker/controller/leader-tasks.ts';

const silent = pino({ level: 'silent' });

/** Tasks that write down what happens to them, and end only when they are let. */
class Terms {
  readonly journal: string[] = [];
  readonly mayEnd = Promise.withResolvers<void>();
  #term = 0;

  create(): readonly LeaderTask[] {
    const term = ++this.#term;
    const stop = async (): Promise<void> => {
      await this.mayEnd.promise;
      this.journal.push(`stopped ${term}`);
    };
    return [{ start: () => this.journal.push(`started ${term}`), stop }];
  }
}

/** Plays a sequence of wishes, then lets everything settle. */
async function play(wishes: (tasks: LeaderTasks) => void): Promise<readonly string[]> {
  const terms = new Terms();
  const tasks = new LeaderTasks('tasks', () => terms.create(), silent);
  wishes(tasks);
  terms.mayEnd.resolve();
  await tasks.settled();
  return terms.journal;
}

describe('triggers and reconcilers run exactly while this controller leads and HwameiStor is absent', () => {
  test.each<[string, (tasks: LeaderTasks) => void, readonly string[]]>([
    ['not at first', () => undefined, []],
    ['from the moment it leads', (tasks) => tasks.setLeads(true), ['started 1']],
    [
      'not beside a HwameiStor, leading or not',
      (tasks) => {
        tasks.setHwameistorIsLive(true);
        tasks.setLeads(true);
      },
      [],
    ],
    [
      'again, and made anew, when HwameiStor is gone',
      (tasks) => {
        tasks.setLeads(true);
        tasks.setHwameistorIsLive(true);
        tasks.setHwameistorIsLive(false);
      },
      ['started 1'],
    ],
    ['once, however often it is said', (tasks) => [true, true, true].forEach((leads) => void tasks.setLeads(leads)), ['started 1']],
  ])('%s', async (_, wishes, journal) => {
    expect(await play(wishes)).toEqual(journal);
  });

  test('a new term begins only when the last one has ended', async () => {
    const terms = new Terms();
    const tasks = new LeaderTasks('tasks', () => terms.create(), silent);
    tasks.setLeads(true);
    await tasks.settled();
    tasks.setLeads(false);
    await Promise.resolve();
    tasks.setLeads(true);
    await Promise.resolve();
    expect(terms.journal).toEqual(['started 1']);
    terms.mayEnd.resolve();
    await tasks.settled();
    expect(terms.journal).toEqual(['started 1', 'stopped 1', 'started 2']);
  });
});

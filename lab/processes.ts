/**
 * Background processes of the lab: started detached, found again and stopped by name from any later command.
 *
 * A process is recorded as the line that the kernel itself has of it (/proc/PID/stat), written by the process-to-be right before it becomes the
 * program: at no moment does a program run that no record names, whoever is killed when. A record counts only while the process with that pid
 * has the same start time, so a pid that the kernel has given to somebody else meanwhile is never signalled.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface BackgroundProgram {
  readonly program: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
}

export interface BackgroundProcess {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  readonly logFile: string;
}

/** The two fields of /proc/PID/stat that tell a process from every other one since the boot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since the boot (field 22 of proc(5)). */
  readonly startTime: string;
  /** One letter (field 3); Z is a process that has ended and waits for its parent. */
  readonly state: string;
}

/** Reads a line of /proc/PID/stat. The second field is the program's name in parentheses and may hold spaces and parentheses itself. */
export function parseProcessStat(line: string): ProcessIdentity | undefined {
  const match = /^(\d+) \(.*\) (\S) (.*)$/s.exec(line.trim());
  const startTime = match?.[3]?.split(' ')[22 - 4];
  return match && startTime ? { pid: Number(match[1]), state: match[2]!, startTime } : undefined;
}

/** Writes its own stat line to the file named first, atomically, and becomes the program that follows. */
const RECORD_AND_BECOME = 'read -r stat < /proc/$$/stat && printf "%s\\n" "$stat" > "$0.new" && mv "$0.new" "$0" && exec "$@"';

/** Longer than it takes from a process's end to the end of its record. */
const STOPPING_MILLISECONDS = 1000;

export class BackgroundProcesses {
  readonly #records: string;
  readonly #logs: string;

  /** @param directory of the lab's state: records go to `processes/`, output to `logs/`. */
  constructor(directory: string) {
    this.#records = join(directory, 'processes');
    this.#logs = join(directory, 'logs');
  }

  logFile(name: string): string {
    return join(this.#logs, `${name}.log`);
  }

  /**
   * Starts a program in a session of its own, its output appended to its log file. Does nothing while one of that name runs.
   * @returns when it is recorded; whether it works, its caller asks the program itself. @throws where no process can be started.
   */
  async start(name: string, { program, args, environment, workingDirectory }: BackgroundProgram): Promise<void> {
    if (this.isRunning(name)) return;
    mkdirSync(this.#records, { recursive: true });
    mkdirSync(this.#logs, { recursive: true });
    const record = this.#record(name);
    rmSync(record, { force: true });

    const log = openSync(this.logFile(name), 'a');
    const child = spawn('/bin/sh', ['-c', RECORD_AND_BECOME, record, program, ...args], {
      cwd: workingDirectory,
      detached: true,
      env: { ...process.env, ...environment },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    let failure: Error | undefined;
    child.once('error', (error) => {
      failure = error;
    });
    child.unref();

    const deadline = Date.now() + 10_000;
    while (!identityIn(record)) {
      if (failure) throw failure;
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${name} could not be started; see ${this.logFile(name)}`);
      await sleep(5);
    }
  }

  isRunning(name: string): boolean {
    return this.#running(name) !== undefined;
  }

  /** Nobody stopped it: who does takes its record away, a moment after it is gone. */
  async hasEndedByItself(name: string): Promise<boolean> {
    await sleep(STOPPING_MILLISECONDS);
    return !this.isRunning(name) && identityIn(this.#record(name)) !== undefined;
  }

  /** SIGTERM, then SIGKILL after the grace period, to the process and all that it started in its session; returns when it is gone. */
  async stop(name: string, graceSeconds = 10): Promise<void> {
    if (this.#signal(name, 'SIGTERM') && !(await this.#gone(name, graceSeconds))) return this.kill(name);
    rmSync(this.#record(name), { force: true });
  }

  /** SIGKILL; returns when it is gone. @throws where the kernel has not ended it after 10 s. */
  async kill(name: string): Promise<void> {
    if (this.#signal(name, 'SIGKILL') && !(await this.#gone(name, 10))) throw new Error(`${name} is still there 10 s after SIGKILL`);
    rmSync(this.#record(name), { force: true });
  }

  /** Stops it where it is, or lets it go on. Does nothing where it does not run. */
  freeze(name: string, frozen: boolean): void {
    this.#signal(name, frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  list(): BackgroundProcess[] {
    return recordNames(this.#records).map((name) => ({
      name,
      pid: identityIn(this.#record(name))?.pid ?? 0,
      running: this.isRunning(name),
      logFile: this.logFile(name),
    }));
  }

  #record(name: string): string {
    return join(this.#records, name);
  }

  #running(name: string): ProcessIdentity | undefined {
    const recorded = identityIn(this.#record(name));
    const current = recorded && identityIn(`/proc/${recorded.pid}/stat`);
    return current && current.startTime === recorded.startTime && current.state !== 'Z' ? current : undefined;
  }

  /** Signals the process group, which the process leads. @returns false where there is no such process. */
  #signal(name: string, signal: NodeJS.Signals): boolean {
    const running = this.#running(name);
    if (!running) return false;
    try {
      process.kill(-running.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    return true;
  }

  async #gone(name: string, seconds: number): Promise<boolean> {
    const deadline = Date.now() + seconds * 1000;
    while (this.isRunning(name)) {
      if (Date.now() > deadline) return false;
      await sleep(20);
    }
    return true;
  }
}

function identityIn(file: string): ProcessIdentity | undefined {
  try {
    return parseProcessStat(readFileSync(file, 'utf8'));
  } catch (error) {
    // ESRCH: the process ended between open and read.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function recordNames(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => !name.endsWith('.new'))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

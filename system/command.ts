/**
 * The one place that runs programs.
 *
 * Arguments travel as a list, and no shell reads them as its text, so that no name of an object can become syntax. Programs run in the C locale, because
 * parsers and error classification read what they print. Every run has a limit: LVM waits for locks, DRBD for peers, device mapper for I/O.
 * stdout and stderr stay apart: LVM's warnings about a mirrored volume would otherwise land inside its JSON.
 *
 * Each program has a process group of its own, and at its limit the whole group is killed: what a script had started would otherwise go on, and
 * finish what nobody waits for any more.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface RunOptions {
  /** Default 30. */
  readonly timeoutSeconds?: number;
  /** Exit codes that are an answer, not a failure. */
  readonly expectedExitCodes?: readonly number[];
  /** Values that may appear in the arguments and must not appear in any error. */
  readonly secrets?: readonly string[];
  /** Descriptors the program inherits as its numbers 3, 4, …: they keep locks held for as long as it lives, even if this process dies. */
  readonly inheritedDescriptors?: readonly number[];
  /** Variables that it finds beside PATH and the locale: of those of this process it has no need, and some are nobody else's business. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws {CommandError} for any exit code but 0 and the expected ones, at the time limit, and where the program does not start. */
export type Run = (program: string, args: readonly string[], options?: RunOptions) => Promise<CommandResult>;

/** How a program ended: with an exit code, or in words what happened instead. */
type Ending = { readonly exitCode: number } | { readonly exitCode: null; readonly timedOut: boolean; readonly what: string };

export interface CommandFailure {
  readonly program: string;
  readonly args: readonly string[];
  readonly stderr: string;
  readonly ending: Ending;
}

/** Carries the command line and what the program said, with every secret blotted out: it ends in logs and in Temporal's history. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly program: string;
  /** null: stopped at its time limit, ended by somebody's signal, or never started. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly stderr: string;

  constructor(failure: CommandFailure, secrets: readonly string[] = []) {
    const redact = (text: string) => secrets.reduce((redacted, secret) => redacted.replaceAll(secret, '[redacted]'), text);
    const stderr = redact(failure.stderr.trim());
    const commandLine = redact([failure.program, ...failure.args].join(' '));
    const { ending } = failure;
    super(`${commandLine}: ${ending.exitCode === null ? ending.what : `exit code ${ending.exitCode}`}: ${stderr || 'no message'}`);
    this.program = failure.program;
    this.exitCode = ending.exitCode;
    this.timedOut = ending.exitCode === null && ending.timedOut;
    this.stderr = stderr;
  }
}

const DEFAULT_TIMEOUT_SECONDS = 30;
/** How long a killed program may take to go. One that waits in the kernel for I/O cannot be killed: it is left behind, and reported. */
const KILL_GRACE_MILLISECONDS = 1000;

export const run: Run = async (program, args, options = {}) => {
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, ...options.environment, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe', ...(options.inheritedDescriptors ?? [])],
    // A process group of its own.
    detached: true,
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const ending = await ended(child, options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS);

  if (ending.exitCode !== null && [0, ...(options.expectedExitCodes ?? [])].includes(ending.exitCode)) {
    return { exitCode: ending.exitCode, stdout: stdout(), stderr: stderr() };
  }
  throw new CommandError({ program, args, stderr: stderr(), ending }, options.secrets);
};

/** Never rejects, so that no error of Node's own carries the arguments, and a secret among them, away. */
async function ended(child: ChildProcess, timeoutSeconds: number): Promise<Ending> {
  let timedOut = false;
  const abandoned = new AbortController();
  let grace: NodeJS.Timeout | undefined;
  const limit = setTimeout(() => {
    timedOut = true;
    killGroup(child);
    grace = setTimeout(() => abandoned.abort(), KILL_GRACE_MILLISECONDS);
  }, timeoutSeconds * 1000);
  try {
    const [exitCode, signal] = (await once(child, 'close', { signal: abandoned.signal })) as [number | null, string | null];
    if (timedOut) return { exitCode: null, timedOut, what: `stopped after ${timeoutSeconds} s` };
    return exitCode === null ? { exitCode, timedOut, what: `ended by ${signal}` } : { exitCode };
  } catch (error) {
    if (!abandoned.signal.aborted) return { exitCode: null, timedOut, what: `did not start (${(error as NodeJS.ErrnoException).code})` };
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
    return { exitCode: null, timedOut, what: `did not end after ${timeoutSeconds} s, nor when it was killed` };
  } finally {
    clearTimeout(limit);
    clearTimeout(grace);
  }
}

/** The program, and what it has started that has not left its process group. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Nothing is left of it but somebody who holds its output open.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Collects a stream as text; what has come so far can be read at any time. */
function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream?.on('error', () => undefined);
  return () => Buffer.concat(chunks).toString('utf8');
}

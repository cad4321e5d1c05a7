/**
 * The one place of the lab that runs programs on the host and waits for their end.
 *
 * Arguments travel as a list, never through a shell. Output is captured in the C locale, because it is parsed. Every run has a limit.
 */
import { spawn } from 'node:child_process';
import { buffer, text } from 'node:stream/consumers';

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Default 30. At its end the program is killed and CommandError thrown. */
  readonly timeoutSeconds?: number;
  readonly stdin?: string | Uint8Array;
  /** Exit codes besides 0 that are an answer, not a failure. */
  readonly expectedExitCodes?: readonly number[];
  readonly workingDirectory?: string;
  /** What an error calls it; the program and its arguments by default. */
  readonly description?: string;
  /** Added to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A program could not be started, ended with an exit code that its caller did not expect, or did not end in time. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly program: string;
  /** null: it was stopped at its time limit or by a signal. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;

  constructor(program: string, exitCode: number | null, outcome: string, stdout: string, stderr: string) {
    super(`${program} ${outcome}: ${lastLines(stderr) || lastLines(stdout) || 'no message'}`);
    this.program = program;
    this.exitCode = exitCode;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** @throws {CommandError} */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { bytes, ...result } = await runForBytes(program, args, options);
  return { ...result, stdout: bytes.toString('utf8') };
}

/** As `run`, for programs whose output is not text. @throws {CommandError} */
export async function runForBytes(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<{ readonly exitCode: number; readonly bytes: Buffer; readonly stderr: string }> {
  const timeoutSeconds = options.timeoutSeconds ?? 30;
  const description = options.description ?? [program, ...args].join(' ').slice(0, 200);
  const child = spawn(program, args, {
    cwd: options.workingDirectory,
    // Users other than root, and some shells of root's, do not search the administrator's programs.
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C', ...options.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', (error) => reject(new CommandError(program, null, 'could not be started', '', error.message)));
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
    // A grandchild may hold the pipes open for ever: without them 'close' follows the kill at once.
    child.stdout.destroy();
    child.stderr.destroy();
  }, timeoutSeconds * 1000);
  // A program may end without reading its input; its exit code says whether that was a failure.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin);

  const nothingAfterKill = (): Buffer => Buffer.alloc(0);
  try {
    const [bytes, stderr, { exitCode, signal }] = await Promise.all([
      buffer(child.stdout).catch(nothingAfterKill),
      text(child.stderr).catch(() => ''),
      exited,
    ]);
    if (exitCode !== null && !timedOut && [0, ...(options.expectedExitCodes ?? [])].includes(exitCode)) return { exitCode, bytes, stderr };
    const outcome = timedOut
      ? `was stopped after ${timeoutSeconds} s`
      : exitCode === null
        ? `was ended by ${signal}`
        : `ended with ${exitCode}`;
    throw new CommandError(description, timedOut ? null : exitCode, outcome, bytes.toString('utf8'), stderr);
  } finally {
    clearTimeout(timer);
  }
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n');
}

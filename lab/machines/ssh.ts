/**
 * Commands on a machine, over ssh. Each lab has a key of its own, which its machines are told at power-on.
 *
 * One connection is shared by all commands of all processes (ControlMaster): a command then costs 0.1 s instead of an emulated key exchange.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { CommandError, type CommandOptions, type CommandResult, run } from '../command.ts';

/** Makes the lab's key unless there is one. @returns the base64 part of the public one. */
export async function ensureKey(directory: string): Promise<string> {
  const file = keyFile(directory);
  if (!existsSync(file)) {
    await mkdir(join(directory, 'ssh'), { recursive: true, mode: 0o700 });
    const unfinished = await mkdtemp(join(directory, 'ssh', '.key-'));
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'rehome-lab', '-f', join(unfinished, basename(file))]);
    // Machines are started at once: all must be told the key of whoever was first.
    await rename(unfinished, dirname(file)).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOTEMPTY', 'EEXIST'].includes(error.code ?? '')) throw error;
      return rm(unfinished, { recursive: true });
    });
  }
  return (await readFile(`${file}.pub`, 'utf8')).split(' ')[1]!;
}

export class SshConnection {
  readonly #name: string;
  readonly #arguments: readonly string[];
  readonly #socket: string;

  /** @param directory of the lab's state. */
  constructor(name: string, address: string, directory: string) {
    this.#name = name;
    this.#socket = join(directory, 'ssh', name);
    const options = {
      BatchMode: 'yes',
      IdentitiesOnly: 'yes',
      // A machine makes a new host key at every boot.
      StrictHostKeyChecking: 'no',
      UserKnownHostsFile: '/dev/null',
      LogLevel: 'ERROR',
      ConnectTimeout: 5,
      // Of the shared connection: a machine that was killed or cut off is given up after 9 s.
      ServerAliveInterval: 3,
      ServerAliveCountMax: 3,
      ControlMaster: 'auto',
      ControlPersist: 'yes',
      ControlPath: this.#socket,
    };
    const given = Object.entries(options).flatMap(([option, value]) => ['-o', `${option}=${value}`]);
    this.#arguments = ['-F', 'none', '-i', keyFile(directory), ...given, `root@${address}`];
  }

  /** @throws {CommandError} with exit code 255 where the machine did not answer or the connection broke. */
  run(script: string, options: CommandOptions): Promise<CommandResult> {
    const description = `on ${this.#name}: ${script.slice(0, 200)}`;
    return run('ssh', ['-T', ...this.#arguments, '--', script], { description, ...options });
  }

  spawn(script: string): ChildProcess {
    return spawn('ssh', ['-T', ...this.#arguments, '--', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** Ends the shared connection, if there is one, and every command that runs over it. */
  async close(): Promise<void> {
    if (!existsSync(this.#socket)) return;
    // Whoever holds a connection that does not let itself be ended gives it up after 9 s of silence.
    await run('ssh', ['-O', 'exit', ...this.#arguments], { timeoutSeconds: 5 }).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
    });
    await rm(this.#socket, { force: true });
  }
}

/** Whether something listens for ssh there; asks once, for at most half a second. */
export function answersSsh(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: address, port: 22, timeout: 500 });
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    // The greeting, not the connection: the latter stands before dropbear has taken it.
    socket.once('data', end(true));
    socket.once('error', end(false));
    socket.once('timeout', end(false));
    socket.once('close', end(false));
  });
}

/** A list of arguments as a POSIX shell reads it back. */
export function shellQuote(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
}

function keyFile(directory: string): string {
  return join(directory, 'ssh', 'key', 'id_ed25519');
}

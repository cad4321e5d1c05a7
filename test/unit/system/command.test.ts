import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CommandError, type Run, run } from '../../../system/command.ts';
import { LockTimeoutError, withFileLock } from '../../../system/file-lock.ts';

const failureOf = async (promise: Promise<unknown>): Promise<CommandError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CommandError);
  return error as CommandError;
};

describe('running a program', () => {
  test('keeps stdout and stderr apart, in the C locale', async () => {
    const result = await run('sh', ['-c', 'echo out; echo err >&2; echo $LC_ALL']);
    expect(result).toEqual({ exitCode: 0, stdout: 'out\nC\n', stderr: 'err\n' });
  });

  test('gives it PATH and what it is meant to find of the environment, and nothing else', async () => {
    expect(Object.keys(process.env).length).toBeGreaterThan(2);
    const { stdout } = await run('env', [], { environment: { LVM_OUT_FD: '3' } });
    expect(stdout.trim().split('\n').sort()).toEqual(['LC_ALL=C', 'LVM_OUT_FD=3', `PATH=${process.env.PATH}`]);
  });

  test('passes arguments as they are, without a shell', async () => {
    expect((await run('printf', ['%s|', 'a b', '$(id)', ';'])).stdout).toBe('a b|$(id)|;|');
  });

  test('gives an expected exit code as an answer', async () => {
    expect((await run('sh', ['-c', 'exit 10'], { expectedExitCodes: [10] })).exitCode).toBe(10);
  });

  test('fails with the command line, the exit code and what the program said', async () => {
    const error = await failureOf(run('sh', ['-c', 'echo no room >&2; exit 5']));
    expect(error).toMatchObject({ exitCode: 5, timedOut: false, stderr: 'no room' });
    expect(error.message).toContain('exit code 5: no room');
  });

  test('gives a program that asks something nobody to wait for: it reads the end of its input', async () => {
    const script = 'read -r answer || echo "no answer"';
    expect((await run('sh', ['-c', script], { timeoutSeconds: 5 })).stdout).toBe('no answer\n');
  });

  test('stops a program at its limit, also one that ignores signals', async () => {
    const error = await failureOf(run('sh', ['-c', 'trap "" TERM; sleep 30'], { timeoutSeconds: 0.2 }));
    expect(error).toMatchObject({ exitCode: null, timedOut: true });
  });

  test('stops with a script what the script has started', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'command-'));
    try {
      const pidFile = join(directory, 'pid');
      await failureOf(run('sh', ['-c', 'sleep 30 >/dev/null 2>&1 & echo $! >"$0"; wait', pidFile], { timeoutSeconds: 1 }));
      const pid = readFileSync(pidFile, 'utf8').trim();
      // Gone, or dead and not yet taken away by whoever inherited it.
      await expect.poll(() => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))).toBe(true);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each([
    ['which goes on', 'setsid sleep 3 & wait'],
    ['which has ended', 'setsid sleep 3 &'],
  ])('does not wait for what left a program, %s, and keeps the output open', async (_, script) => {
    const error = await failureOf(run('sh', ['-c', script], { timeoutSeconds: 0.1 }));
    expect(error.timedOut).toBe(true);
  });

  test('says that a program does not exist', async () => {
    expect((await failureOf(run('no-such-program', []))).message).toContain('did not start (ENOENT)');
  });

  test.each([
    ['that fails', 'sh', ['-c', 'echo "$0" >&2; exit 20', '--shared-secret=hunter2']],
    ['that does not start', 'no-such-program', ['--shared-secret=hunter2']],
  ])('keeps a secret out of the error of a program %s', async (_, program, args) => {
    const error = await failureOf(run(program, args, { secrets: ['hunter2'] }));
    expect(JSON.stringify({ ...error, message: error.message, stack: error.stack, cause: error.cause })).not.toContain('hunter2');
    expect(error.message).toContain('--shared-secret=[redacted]');
  });
});

describe('a file lock', () => {
  let directory: string;
  let goesOn: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'file-lock-'));
    goesOn = join(directory, 'goes-on');
    mkdirSync(goesOn);
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const lock = (timeoutSeconds: number) => ({ path: join(directory, 'deep', 'volume'), timeoutSeconds });

  test('lets one task in at a time', async () => {
    const order: string[] = [];
    const first = withFileLock(run, lock(5), async (lockedRun) => {
      order.push('first in');
      await lockedRun('sleep', ['0.2']);
      order.push('first out');
    });
    await expect.poll(() => order).toContain('first in');
    await withFileLock(run, lock(5), async () => void order.push('second in'));
    await first;
    expect(order).toEqual(['first in', 'first out', 'second in']);
  });

  test('gives up after its limit with an error of its own', async () => {
    await withFileLock(run, lock(5), async () => {
      await expect(withFileLock(run, lock(0.2), async () => undefined)).rejects.toBeInstanceOf(LockTimeoutError);
    });
  });

  /** A program that its parent does not wait for: it goes on for as long as there is the directory that it is given. */
  const LEFT_BEHIND = 'while [ -d "$0" ]; do sleep 0.05; done >/dev/null 2>&1 &';
  async function expectHeldUntilItEnds(): Promise<void> {
    await expect(withFileLock(run, lock(0.2), async () => undefined)).rejects.toBeInstanceOf(LockTimeoutError);
    rmSync(goesOn, { recursive: true });
    await withFileLock(run, lock(5), async () => undefined);
  }

  test('is held by a program that outlives the task', async () => {
    await withFileLock(run, lock(5), (lockedRun) => lockedRun('sh', ['-c', LEFT_BEHIND, goesOn]));
    await expectHeldUntilItEnds();
  });

  test.each([
    ['a lock', 0],
    ['a lock within another one', 1],
  ])('is held by LVM, which closes all it inherits but what it is to write to: %s', async (_, inner) => {
    // What LVM does at its start, and a change that takes longer than its parent lives.
    const lvm = `for fd in 3 4; do [ "$LVM_OUT_FD" = $fd ] || eval "exec $fd>&-"; done; ${LEFT_BEHIND}`;
    const leaveBehind = (lockedRun: Run) => lockedRun('sh', ['-c', lvm, goesOn]);
    const innerLock = { path: join(directory, 'allocation'), timeoutSeconds: 5 };
    await withFileLock(run, lock(5), async (outerRun) => {
      if (inner) await withFileLock(outerRun, innerLock, leaveBehind);
      else await leaveBehind(outerRun);
    });
    await expectHeldUntilItEnds();
  });

  test('lets whoever waits for it say now and then that it still does, and give up', async () => {
    const limits: unknown[] = [];
    const locked: Run = async (program, args, options) => {
      limits.push(options?.timeoutSeconds);
      throw new CommandError({ program, args, stderr: '', ending: { exitCode: null, timedOut: true, what: 'stopped' } });
    };
    const onWait = () => {
      if (limits.length === 2) throw new Error('cancelled');
    };
    await expect(withFileLock(locked, { ...lock(30), onWait }, async () => undefined)).rejects.toThrow('cancelled');
    expect(limits).toEqual([3, 3]);
  });

  test('is free again after a task that failed', async () => {
    await expect(withFileLock(run, lock(5), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await withFileLock(run, lock(0.5), async () => undefined);
  });
});

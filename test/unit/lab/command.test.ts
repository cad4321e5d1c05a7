import { describe, expect, test } from 'vitest';
import { CommandError, run } from '../../../lab/command.ts';

const shell = (script: string, options = {}) => run('sh', ['-c', script], options);

describe('a command on the host', () => {
  test('gives its output, and reads its input', async () => {
    expect(await shell('cat; echo note >&2', { stdin: 'hello' })).toEqual({ exitCode: 0, stdout: 'hello', stderr: 'note\n' });
  });

  test('may end without reading its input', async () => {
    await expect(shell('exec true', { stdin: Buffer.alloc(1 << 20) })).resolves.toMatchObject({ exitCode: 0 });
  });

  test('fails with an exit code that nobody expected, and says what the program said', async () => {
    await expect(shell('echo broken >&2; exit 3')).rejects.toThrow(/ended with 3: broken$/);
    await expect(shell('exit 3', { expectedExitCodes: [3] })).resolves.toMatchObject({ exitCode: 3 });
  });

  test('is stopped at its limit, even where a child of it holds its output open', async () => {
    const started = performance.now();
    const failure = await shell('sleep 5 & wait', { timeoutSeconds: 0.2 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandError);
    expect(failure).toMatchObject({ exitCode: null, message: expect.stringContaining('was stopped after 0.2 s') });
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test('that does not exist cannot be started', async () => {
    await expect(run('no-such-program', [])).rejects.toThrow(/could not be started/);
  });
});

import pino from 'pino';
import { expect, test } from 'vitest';
import { waitUntil } from '../../../worker/wait.ts';

function logged() {
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  return { lines, logger };
}

test('a server that is not there yet is waited for, and the log says why', async () => {
  const { lines, logger } = logged();
  let attempts = 0;
  const attempt = async (): Promise<string> => {
    attempts += 1;
    if (attempts === 1) throw new Error('no answer', { cause: new Error('ECONNREFUSED') });
    return 'there';
  };
  expect(await waitUntil('the API server', attempt, { logger, signal: new AbortController().signal })).toBe('there');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'waits for the API server', reason: 'no answer: ECONNREFUSED' }]);
});

test('what waiting does not mend is thrown at once', async () => {
  const refused = new Error('refused');
  const wait = waitUntil('x', () => Promise.reject(refused), {
    ...logged(),
    signal: new AbortController().signal,
    isFinal: (error) => error === refused,
  });
  await expect(wait).rejects.toBe(refused);
});

test('a process that is told to stop waits no longer', async () => {
  const stop = new AbortController();
  const wait = waitUntil('x', () => Promise.reject(new Error('down')), { ...logged(), signal: stop.signal });
  stop.abort(new Error('stopped'));
  await expect(wait).rejects.toThrow('stopped');
});

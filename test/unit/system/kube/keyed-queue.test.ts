import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { KeyedQueue } from '../../../../system/kube/keyed-queue.ts';

const queues: KeyedQueue[] = [];
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.stop()));
});

/** A queue whose runs end when the test says so. */
function startQueue(options: { concurrency?: number } = {}) {
  const runs: { readonly key: string; readonly succeed: () => void; readonly fail: (error: Error) => void }[] = [];
  const errors: unknown[] = [];
  const queue = new KeyedQueue({
    process: (key) => new Promise<void>((succeed, fail) => runs.push({ key, succeed, fail })),
    onError: (error, key) => errors.push([key, error]),
    backoff: { minimumMilliseconds: 20, maximumMilliseconds: 40 },
    ...options,
  });
  queues.push(queue);
  return { queue, runs, errors, keys: () => runs.map(({ key }) => key) };
}

test('many additions of a key that waits are one run', async () => {
  const { queue, runs, keys } = startQueue({ concurrency: 1 });
  for (const key of ['a', 'b', 'b', 'b']) queue.add(key);
  await turn();
  expect(keys()).toEqual(['a']);
  runs[0]!.succeed();
  await turn();
  expect(keys()).toEqual(['a', 'b']);
  runs[1]!.succeed();
  await turn();
  expect(keys()).toEqual(['a', 'b']);
});

test('a key added while it runs runs once more, and never twice at once', async () => {
  const { queue, runs, keys } = startQueue();
  queue.add('a');
  await turn();
  queue.add('a');
  queue.add('a');
  await turn();
  expect(keys()).toEqual(['a']);
  runs[0]!.succeed();
  await turn();
  expect(keys()).toEqual(['a', 'a']);
  runs[1]!.succeed();
  await turn();
  expect(keys()).toEqual(['a', 'a']);
});

test('different keys run at the same time up to the limit', async () => {
  const { queue, runs, keys } = startQueue({ concurrency: 2 });
  for (const key of ['a', 'b', 'c']) queue.add(key);
  await turn();
  expect(keys()).toEqual(['a', 'b']);
  runs[0]!.succeed();
  await turn();
  expect(keys()).toEqual(['a', 'b', 'c']);
  runs[1]!.succeed();
  runs[2]!.succeed();
});

test('a run that failed is told and made again after the back-off', async () => {
  const { queue, runs, errors, keys } = startQueue();
  const failure = new Error('no');
  queue.add('a');
  await turn();
  runs[0]!.fail(failure);
  await turn();
  expect(errors).toEqual([['a', failure]]);
  expect(keys()).toEqual(['a']);
  await vi.waitFor(() => expect(keys()).toEqual(['a', 'a']));
  runs[1]!.succeed();
});

test('an addition ends the back-off', async () => {
  const { queue, runs, keys } = startQueue();
  queue.add('a');
  await turn();
  runs[0]!.fail(new Error('no'));
  await turn();
  queue.add('a');
  await turn();
  expect(keys()).toEqual(['a', 'a']);
  runs[1]!.succeed();
});

test('stop waits for the run under way and takes up nothing that waits', async () => {
  const { queue, runs, keys } = startQueue({ concurrency: 1 });
  queue.add('a');
  queue.add('b');
  await turn();
  let stopped = false;
  const stopping = queue.stop().then(() => {
    stopped = true;
  });
  await turn();
  expect(stopped).toBe(false);
  runs[0]!.succeed();
  await stopping;
  queue.add('c');
  await turn();
  expect(keys()).toEqual(['a']);
});

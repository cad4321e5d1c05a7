import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureCached } from '../../../lab/cache.ts';

let parent: string;
let made: number;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rehome-cache-'));
  made = 0;
});
afterEach(() => rm(parent, { recursive: true }));

const ensure = () =>
  ensureCached(
    'thing-1',
    async (directory) => {
      made += 1;
      await writeFile(join(directory, 'program'), `made ${made}`);
    },
    parent,
  );

describe('a cached thing', () => {
  test('is made once', async () => {
    expect(await readFile(join(await ensure(), 'program'), 'utf8')).toBe('made 1');
    await ensure();
    expect(made).toBe(1);
  });

  test('is made anew when a file of it is not what was made', async () => {
    await writeFile(join(await ensure(), 'program'), 'made x');
    expect(await readFile(join(await ensure(), 'program'), 'utf8')).toBe('made 2');
  });

  test('is made anew when a file of it is gone', async () => {
    await rm(join(await ensure(), 'program'));
    await ensure();
    expect(made).toBe(2);
  });

  test('leaves nothing when it cannot be made', async () => {
    const failing = ensureCached('thing-1', () => Promise.reject(new Error('no network')), parent);
    await expect(failing).rejects.toThrow('no network');
    expect(await readdir(parent)).toEqual([]);
  });

  test('removes what a killed maker left, and leaves alone what a living one is making', async () => {
    await mkdir(join(parent, '.unfinished-999999999-abc'));
    await mkdir(join(parent, `.unfinished-${process.pid}-abc`));
    await ensure();
    expect((await readdir(parent)).sort()).toEqual([`.unfinished-${process.pid}-abc`, 'thing-1']);
  });

  test('is whole for both of two that make it at once', async () => {
    const [one, other] = await Promise.all([ensure(), ensure()]);
    expect(one).toBe(other);
    expect(await readFile(join(one, 'program'), 'utf8')).toMatch(/^made \d$/);
  });
});

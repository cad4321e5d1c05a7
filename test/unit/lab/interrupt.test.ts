import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';

const LAB = resolve(import.meta.dirname, '../../../lab/index.ts');
const PROGRAM = `
import { Steps, takeDownOnInterrupt } from '${LAB}';
takeDownOnInterrupt(new Steps());
console.log('working');
setTimeout(() => {}, 60_000);`;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rehome-interrupt-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Runs a command whose descendant is the program, as npm does, with no lab of its own. */
async function working(command: string, args: readonly string[]): Promise<{ child: ChildProcess; output: Promise<string> }> {
  const environment = { ...process.env, REHOME_LAB_DIR: join(directory, 'lab'), npm_lifecycle_event: 'demo' };
  const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const output = text(child.stdout);
  await once(child.stdout, 'data');
  return { child, output };
}

test('a signal ends the process after it has taken down what it brought up', { timeout: 30_000 }, async () => {
  const { child, output } = await working(process.execPath, ['--input-type=module', '--eval', PROGRAM]);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([130, null]);
  expect(await output).toContain('SIGTERM: taking everything down');
});

test('a process whose npm was killed does not go on by itself', { timeout: 30_000 }, async () => {
  const { child, output } = await working('sh', ['-c', `"$@" & wait`, 'sh', process.execPath, '--input-type=module', '--eval', PROGRAM]);
  child.kill('SIGKILL');
  // The output ends with the last process that could write to it.
  expect(await output).toContain('npm was ended: taking everything down');
});

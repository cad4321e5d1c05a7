import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BackgroundProcesses, parseProcessStat } from '../../../lab/processes.ts';

describe('a line of /proc/PID/stat', () => {
  const fields = Array.from({ length: 30 }, (_, index) => String(index + 4)).join(' ');

  test('gives pid, state and start time', () => {
    expect(parseProcessStat(`712 (sleep) S ${fields}\n`)).toEqual({ pid: 712, state: 'S', startTime: '22' });
  });

  test('may hold spaces and parentheses in the name of the program', () => {
    expect(parseProcessStat(`712 (a) R (b)) Z ${fields}`)).toEqual({ pid: 712, state: 'Z', startTime: '22' });
  });

  test.each(['', 'nonsense', '712 (sleep) S 1 2'])('%j is none', (line) => {
    expect(parseProcessStat(line)).toBeUndefined();
  });
});

describe('background processes', () => {
  let directory: string;
  let processes: BackgroundProcesses;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rehome-processes-'));
    processes = new BackgroundProcesses(directory);
  });

  afterEach(async () => {
    for (const { name } of processes.list()) await processes.kill(name);
    rmSync(directory, { recursive: true });
  });

  const shell = (script: string) => ({ program: '/bin/sh', args: ['-c', script] });

  test('one that was started is found by anybody who knows the directory, until it is stopped', async () => {
    await processes.start('sleeper', { program: 'sleep', args: ['60'] });
    const others = new BackgroundProcesses(directory);
    expect(others.list()).toEqual([expect.objectContaining({ name: 'sleeper', running: true })]);
    await others.stop('sleeper');
    expect(processes.isRunning('sleeper')).toBe(false);
    expect(processes.list()).toEqual([]);
  });

  test('a second start of a running one changes nothing', async () => {
    await processes.start('sleeper', { program: 'sleep', args: ['60'] });
    const [before] = processes.list();
    await processes.start('sleeper', { program: 'sleep', args: ['60'] });
    expect(processes.list()).toEqual([before]);
  });

  test('one that ignores SIGTERM is killed after its grace period, with what it has started', async () => {
    const childPid = join(directory, 'child');
    await processes.start('stubborn', shell(`trap "" TERM; sleep 60 & echo $! > ${childPid}; wait; sleep 60`));
    await vi.waitFor(() => expect(readFileSync(childPid, 'utf8')).toMatch(/\d+\n/), { timeout: 5000 });
    await processes.stop('stubborn', 0.05);
    expect(processes.isRunning('stubborn')).toBe(false);
    const child = readFileSync(childPid, 'utf8').trim();
    await vi.waitFor(() => expect(existsSync(`/proc/${child}/cmdline`) && readFileSync(`/proc/${child}/cmdline`, 'utf8')).toBeFalsy(), {
      timeout: 5000,
    });
  });

  test('one that has ended by itself is told from one that was stopped, and from one that runs', async () => {
    await processes.start('ends', shell('exit 1'));
    await processes.start('stopped', { program: 'sleep', args: ['60'] });
    await processes.start('runs', { program: 'sleep', args: ['60'] });
    await vi.waitFor(() => expect(processes.isRunning('ends')).toBe(false));
    await processes.kill('stopped');
    const names = ['ends', 'stopped', 'runs'];
    expect(await Promise.all(names.map((name) => processes.hasEndedByItself(name)))).toEqual([true, false, false]);
  });

  test('a record of a pid that is somebody else now is nobody', async () => {
    await processes.start('sleeper', { program: 'sleep', args: ['60'] });
    await processes.kill('sleeper');
    const mine = parseProcessStat(readFileSync('/proc/self/stat', 'utf8'))!;
    const fields = Array.from({ length: 18 }, () => '0').join(' ');
    writeFileSync(join(directory, 'processes', 'impostor'), `${mine.pid} (node) S ${fields} ${Number(mine.startTime) - 1} 0\n`);
    expect(processes.isRunning('impostor')).toBe(false);
    await processes.kill('impostor');
    expect(processes.list()).toEqual([]);
  });

  test('output goes to the log, appended by the next of that name', async () => {
    for (const word of ['first', 'second']) {
      await processes.start('speaker', shell(`echo ${word}`));
      await vi.waitFor(() => expect(processes.isRunning('speaker')).toBe(false), { timeout: 5000 });
    }
    expect(readFileSync(processes.logFile('speaker'), 'utf8')).toBe('first\nsecond\n');
  });
});

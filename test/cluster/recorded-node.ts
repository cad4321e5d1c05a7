/** A node that answers an agent as real nodes once did: its programs and what it reads of DRBD are recordings, whatever host the test runs on. */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const recorded = (name: string): string => resolve(import.meta.dirname, '../unit/system/fixtures', name);

const PROGRAMS: Readonly<Record<string, string>> = {
  lvm: `cat ${recorded('lvm-fullreport.json')}`,
  vgs: `cat ${recorded('vgs.json')}`,
  lvs: `cat ${recorded('lvs.json')}`,
  dmsetup: `case "$1" in table) cat ${recorded('dmsetup-table.txt')} ;; *) exit 1 ;; esac`,
  drbdsetup: `cat ${recorded('events2-syncing.txt')}`,
  // What changes a node changes nothing here.
  ...Object.fromEntries(['lvcreate', 'lvchange', 'lvremove', 'drbdmeta', 'blockdev', 'modprobe'].map((name) => [name, 'exit 0'])),
};

const runFile = (directory: string): string => join(directory, 'run');

/** @returns the command lines of all that the agent has run so far, but for the programs of the host. */
export async function programsRun(directory: string): Promise<readonly string[]> {
  return (await readFile(runFile(directory), 'utf8')).split('\n').filter(Boolean);
}

/** Runs in the agent before the agent: no host lets a test put a file into /proc. */
const PRELOAD = `
const promises = require('node:fs/promises');
const { readFile } = promises;
const answers = { '/proc/drbd': () => readFile(${JSON.stringify(recorded('proc-drbd-syncing.txt'))}, 'utf8'),
  '/sys/module/drbd/parameters/usermode_helper': async () => 'disabled' };
promises.readFile = (path, ...rest) => (answers[path] ?? (() => readFile(path, ...rest)))();
`;

/** @returns what the agent's environment needs for it; the files are in the directory. */
export async function recordNode(directory: string): Promise<Readonly<Record<string, string>>> {
  for (const [name, command] of Object.entries(PROGRAMS)) {
    await writeFile(join(directory, name), `#!/bin/sh\necho "${name} $*" >> ${runFile(directory)}\n${command}\n`);
    await chmod(join(directory, name), 0o755);
  }
  const preload = join(directory, 'preload.cjs');
  await writeFile(preload, PRELOAD);
  return { PATH: `${directory}:${process.env['PATH']}`, NODE_OPTIONS: `--require=${preload}` };
}

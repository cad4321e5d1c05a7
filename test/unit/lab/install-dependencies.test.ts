import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const REPOSITORY = resolve(import.meta.dirname, '../../..');
const { node: pinned } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')).devDependencies as { node: string };

describe('the packages', () => {
  let root: string;
  const path = (...names: string[]): string => join(root, ...names);
  const program = (file: string, script: string): void => {
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'rehome-install-'));
    mkdirSync(path('bin'));
    mkdirSync(path('scripts'));
    for (const file of ['package.json', 'package-lock.json', 'scripts/install-dependencies.sh']) cpSync(join(REPOSITORY, file), path(file));
    program(path('bin', 'node'), 'echo v20.0.0');
    program(path('bin', 'id'), 'echo 0');
    program(path('bin', 'apt-get'), 'exit 1');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** @param installed version of Node.js that npm's fake brings; none where install scripts are off. */
  function install(installed?: string): { exitCode: number | null; message: string; calls: number } {
    const node = installed ? `printf '#!/bin/sh\\necho v${installed}\\n' > node_modules/.bin/node; chmod 755 node_modules/.bin/node` : '';
    program(path('bin', 'npm'), `echo >> ${path('calls')}; mkdir -p node_modules/.bin; ${node}`);
    const environment = { PATH: `${path('bin')}:/usr/bin:/bin` };
    const { status, stderr } = spawnSync(path('scripts', 'install-dependencies.sh'), { env: environment, encoding: 'utf8' });
    return { exitCode: status, message: stderr, calls: existsSync(path('calls')) ? readFileSync(path('calls'), 'utf8').length : 0 };
  }

  test('are installed once, and again when the lock file changes', () => {
    expect(install(pinned)).toEqual({ exitCode: 0, message: '', calls: 1 });
    expect(install(pinned).calls).toBe(1);
    writeFileSync(path('package-lock.json'), '{}');
    expect(install(pinned).calls).toBe(2);
  });

  test('are not fetched for somebody who is not root, and could not run the lab', () => {
    program(path('bin', 'id'), 'echo 1000');
    const { exitCode, message, calls } = install(pinned);
    expect({ exitCode, calls }).toEqual({ exitCode: 1, calls: 0 });
    expect(message).toContain('you are not root');
  });

  test("are not enough where the machine's own Node.js would run the scripts: it is said why, and the next run installs again", () => {
    const { exitCode, message } = install();
    expect(exitCode).toBe(1);
    expect(message).toMatch(`Node.js of node_modules is v20.0.0, not v${pinned}.`);
    expect(message).toContain('ignore-scripts');
    expect(install(pinned)).toEqual({ exitCode: 0, message: '', calls: 2 });
  });
});

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const LAB = join(import.meta.dirname, '..', '..', '..', 'lab');

test.each(['main.ts', 'demo/main.ts', 'bench/main.ts'])('lab/%s explains itself, and does nothing', (program) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(LAB, program), '--help'], { encoding: 'utf8', timeout: 20_000 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^usage: npm run /);
});

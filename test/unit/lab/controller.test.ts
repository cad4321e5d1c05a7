import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ControlPlane } from '../../../lab/cluster/index.ts';
import { BackgroundProcesses } from '../../../lab/processes.ts';
import { startController } from '../../../lab/rehome.ts';

describe('a controller that is started', () => {
  let directory: string;
  let processes: BackgroundProcesses;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rehome-controller-'));
    processes = new BackgroundProcesses(directory);
    mkdirSync(join(directory, 'controller'));
    controllerDoes('setInterval(() => {}, 1000);');
  });
  afterEach(async () => {
    await processes.kill('controller');
    rmSync(directory, { recursive: true });
  });

  function controllerDoes(program: string): void {
    writeFileSync(join(directory, 'controller', 'main.cjs'), program);
  }

  /** A cluster whose Lease names these, one after the other each time it is asked, and the last ever after. */
  function clusterWhoseLeaseNames(...holders: string[]): ControlPlane {
    const kubectl = join(directory, 'kubectl');
    const answers = holders.map((holder, index) => `${index === holders.length - 1 ? '*' : index + 1}) echo '${holder}' ;;`);
    writeFileSync(kubectl, `#!/bin/sh\necho >> ${directory}/asked\ncase $(wc -l < ${directory}/asked) in\n${answers.join('\n')}\nesac\n`);
    chmodSync(kubectl, 0o755);
    return { kubectl, kubeconfig: '/nowhere', temporalAddress: '127.0.0.1:1', temporalUiUrl: 'http://127.0.0.1:2' } as ControlPlane;
  }
  const timesAsked = (): number => readFileSync(join(directory, 'asked'), 'utf8').length;

  test('leads when the Lease names somebody, where nobody held it before', async () => {
    await startController(clusterWhoseLeaseNames('', '', 'first'), directory, {});
    expect(timesAsked()).toBe(3);
  });

  test('does not lead while the Lease still names the one that was killed', async () => {
    await startController(clusterWhoseLeaseNames('killed', 'killed', 'killed', 'next'), directory, {});
    expect(timesAsked()).toBe(4);
  });

  test('leads already where it runs and the Lease is held', async () => {
    await startController(clusterWhoseLeaseNames('', 'first'), directory, {});
    await startController(clusterWhoseLeaseNames('first'), directory, {});
    expect(processes.isRunning('controller')).toBe(true);
  });

  test('is not waited for once it has ended', async () => {
    controllerDoes('process.exit(1);');
    await expect(startController(clusterWhoseLeaseNames('killed'), directory, {})).rejects.toThrow('the controller has ended: see ');
  });
});

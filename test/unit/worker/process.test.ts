import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigurationError, parseAgentConfiguration } from '../../../core/contracts/configuration.ts';
import { checkClusterKey } from '../../../worker/agent/activities.ts';
import { openKube } from '../../../worker/process.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'process-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

test('a kubeconfig that cannot be read is named with the place and without what stands there', () => {
  const file = join(directory, 'kubeconfig');
  writeFileSync(file, 'users:\n  - name: user\n    user: { token: "hunter2, certificate: }\n');
  const open = () => openKube(file, 'test');
  expect(open).toThrow(ConfigurationError);
  expect(open).toThrow(/KUBECONFIG is ".*kubeconfig" \(.*\(\d+:\d+\)\)/);
  expect(open).not.toThrow(/hunter2/);
});

test.each([
  ['that is empty', '', 'it has 0 bytes, a key needs 16'],
  ['that can be guessed', 'hunter2', 'it has 7 bytes, a key needs 16'],
])('a cluster key %s is refused, and not said', async (_, key, problem) => {
  const file = join(directory, 'key');
  writeFileSync(file, key);
  const environment = { TEMPORAL_ADDRESS: 'localhost:7233', NODE_NAME: 'n1', STORAGE_ADDRESS: '10.0.0.1', CLUSTER_KEY_FILE: file };
  const refused = await checkClusterKey(parseAgentConfiguration(environment)).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ConfigurationError);
  expect(String(refused)).toContain(problem);
  expect(String(refused)).not.toContain('hunter2');
});

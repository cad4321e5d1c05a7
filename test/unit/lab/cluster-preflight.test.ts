import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clusterChecks, isGoRecentEnough } from '../../../lab/cluster/preflight.ts';
import { KUBERNETES_VERSION, TEMPORAL_VERSION } from '../../../lab/cluster/programs.ts';
import { PreflightError, preflight } from '../../../lab/preflight.ts';

test.each([
  ['go1.21', true],
  ['go1.26.8', true],
  ['go1.20.14', false],
  ['go1.19.8', false],
  ['go2.0', true],
  ['devel', false],
])('Go %s is recent enough: %s', (version, expected) => {
  expect(isGoRecentEnough(version)).toBe(expected);
});

describe('before anything is changed', () => {
  let cache: string;
  let server: Server | undefined;

  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), 'rehome-preflight-'));
  });
  afterEach(async () => {
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server = undefined;
    rmSync(cache, { recursive: true });
  });

  async function listen(address: string): Promise<number> {
    const listening = createServer();
    server = listening;
    await new Promise<void>((resolve) => listening.listen(0, address, resolve));
    return (listening.address() as { port: number }).port;
  }
  const withPrograms = (): NodeJS.ProcessEnv => {
    for (const name of [`control-plane-${KUBERNETES_VERSION}`, `temporal-${TEMPORAL_VERSION}`])
      mkdirSync(join(cache, 'rehome', name), { recursive: true });
    return { XDG_CACHE_HOME: cache };
  };

  test('a port that somebody listens on at all addresses is named', async () => {
    const port = await listen('0.0.0.0');
    const problems = preflight(clusterChecks([port], withPrograms()));
    await expect(problems).rejects.toThrow(PreflightError);
    await expect(preflight(clusterChecks([port], withPrograms()))).rejects.toThrow(`TCP port ${port} is in use on all addresses`);
  });

  test("a port that somebody listens on at one address is not in the lab's way", async () => {
    await expect(preflight(clusterChecks([await listen('127.0.0.1')], withPrograms()))).resolves.toBeUndefined();
  });

  test('Go and pip are needed only for what is not yet in the cache', () => {
    expect(clusterChecks([], withPrograms())).toHaveLength(0);
    rmSync(join(cache, 'rehome'), { recursive: true });
    expect(clusterChecks([], { XDG_CACHE_HOME: cache })).toHaveLength(2);
    expect(clusterChecks([], { XDG_CACHE_HOME: cache, KUBEBUILDER_ASSETS: '/opt/kubebuilder' })).toHaveLength(1);
  });
});

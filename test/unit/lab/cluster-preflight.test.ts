import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Component, type ControlPlaneSettings, componentProgram, temporalRelayProgram } from '../../../lab/cluster/components.ts';
import { isGoRecentEnough, portChecks, programChecks } from '../../../lab/cluster/preflight.ts';
import { KUBERNETES_VERSION, TEMPORAL_VERSION } from '../../../lab/cluster/programs.ts';
import { HOST_MANAGEMENT_ADDRESS } from '../../../lab/machines/index.ts';
import { LISTENERS, PORTS, WEBHOOK } from '../../../lab/parts.ts';
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

  // 192.0.2.1 is nobody's (RFC 5737), as the lab's own address is while no lab is up.
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['0.0.0.0', '192.0.2.1'],
    ['::', '192.0.2.1'],
  ])('somebody who listens at %s is in the way of a server at %s', async (theirs, address) => {
    const port = await listen(theirs);
    const problems = preflight(portChecks([{ address, port }]));
    await expect(problems).rejects.toThrow(PreflightError);
    await expect(problems).rejects.toThrow(`TCP port ${port} of ${address} is in use. End what listens there`);
  });

  test.each([
    ['127.0.0.1', '127.0.0.2'],
    ['127.0.0.1', '192.0.2.1'],
  ])('somebody who listens at %s is not in the way of one at %s', async (theirs, address) => {
    await expect(preflight(portChecks([{ address, port: await listen(theirs) }]))).resolves.toBeUndefined();
  });

  test('Go and pip are needed only for what is not yet in the cache', () => {
    expect(programChecks(withPrograms())).toHaveLength(0);
    rmSync(join(cache, 'rehome'), { recursive: true });
    expect(programChecks({ XDG_CACHE_HOME: cache })).toHaveLength(2);
    expect(programChecks({ XDG_CACHE_HOME: cache, KUBEBUILDER_ASSETS: '/opt/kubebuilder' })).toHaveLength(1);
  });
});

test('a port is looked at wherever a process of the lab listens on it', () => {
  const settings: ControlPlaneSettings = {
    directory: '/lab',
    address: HOST_MANAGEMENT_ADDRESS,
    ports: { etcdClient: 1, etcdPeer: 2, ...PORTS },
    programs: { controlPlaneDirectory: '/programs', temporalDirectory: '/programs' },
  };
  const flags = (component: Component): Record<string, string> =>
    Object.fromEntries(componentProgram(component, settings).args.map((argument) => argument.replace(/^--/, '').split('=')));
  const { 'bind-address': address, 'secure-port': securePort } = flags('apiserver');
  const { ip, port, 'ui-port': uiPort } = flags('temporal');
  const [, relayPort, relayAddress] = /^TCP-LISTEN:(\d+),bind=([\d.]+),/.exec(temporalRelayProgram(settings).args[0]!)!;
  // The controller's, of which `lab/rehome.ts` tells controller and API server.
  const webhook = `${WEBHOOK.address}:${WEBHOOK.port}`;
  expect(LISTENERS.map((listener) => `${listener.address}:${listener.port}`).sort()).toEqual(
    [`${address}:${securePort}`, `${ip}:${port}`, `${ip}:${uiPort}`, `${relayAddress}:${relayPort}`, webhook].sort(),
  );
});

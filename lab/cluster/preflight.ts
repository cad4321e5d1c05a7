/** What the control plane needs of the host. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { cacheDirectory } from '../cache.ts';
import { CommandError, run } from '../command.ts';
import type { Check, Problem } from '../preflight.ts';
import { KUBERNETES_VERSION, TEMPORAL_VERSION } from './programs.ts';

/** @param ports that the lab will listen on. @param environment where KUBEBUILDER_ASSETS may make Go unnecessary. */
export function clusterChecks(ports: readonly number[], environment: NodeJS.ProcessEnv = process.env): Check[] {
  const cached = (name: string): boolean => existsSync(join(cacheDirectory(environment), name));
  const needsGo = !environment.KUBEBUILDER_ASSETS && !cached(`control-plane-${KUBERNETES_VERSION}`);
  const needsPip = !cached(`temporal-${TEMPORAL_VERSION}`);
  return [...(needsGo ? [checkGo] : []), ...(needsPip ? [checkPip] : []), ...ports.map((port) => () => checkPort(port))];
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

/** The lab listens on an address of its own, so only somebody who listens on all addresses is in its way. */
async function checkPort(port: number): Promise<Problem | undefined> {
  const free = await new Promise<boolean>((resolve) => {
    // An address of loopback that nobody uses by name.
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.77.0.1', () => server.close(() => resolve(true)));
  });
  return free
    ? undefined
    : { problem: `TCP port ${port} is in use on all addresses`, remedy: `End what listens there (ss -ltnp 'sport = :${port}').` };
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

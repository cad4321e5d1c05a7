/** Nodes of the lab with DRBD 9, LINBIT's module, instead of the 8.4 of their kernel. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Check } from './preflight.ts';
import { UsageError } from './usage-error.ts';

export interface Drbd9 {
  /** Prebuilt modules for the kernel of the nodes' image: `drbd.ko`, `drbd_transport_tcp.ko`, and what else they need that the kernel does not bring. */
  readonly modulesDirectory: string;
  /** The others keep 8.4. */
  readonly nodes: readonly string[];
}

const MODULES = ['drbd.ko', 'drbd_transport_tcp.ko'];

/**
 * What `--drbd-modules` and `--drbd9-nodes` ask for. @param nodes names with commas; all nodes without it. @param count of nodes in the lab.
 * @throws UsageError
 */
export function drbd9Of(directory: string | undefined, nodes: string | undefined, count: number): Drbd9 | undefined {
  if (directory === undefined) {
    if (nodes !== undefined) throw new UsageError('--drbd9-nodes needs --drbd-modules DIR: the modules that these nodes are to load');
    return undefined;
  }
  const all = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const chosen = nodes === undefined ? all : [...new Set(nodes.split(','))];
  const unknown = chosen.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new UsageError(`--drbd9-nodes ${nodes}: no node is called '${unknown}'; there are ${all.join(', ')}`);
  return { modulesDirectory: resolve(directory), nodes: chosen };
}

/** As far as it can be told before the nodes' kernel is known. */
export function drbd9Check({ modulesDirectory }: Drbd9): Check {
  return () => {
    const remedy = "Build LINBIT's DRBD 9 for the kernel of the nodes, and name the directory with its .ko files by --drbd-modules.";
    if (!existsSync(modulesDirectory)) return { problem: `there is no directory ${modulesDirectory}`, remedy };
    const missing = MODULES.filter((name) => !existsSync(join(modulesDirectory, name)));
    return missing.length === 0 ? undefined : { problem: `${modulesDirectory} holds no ${missing.join(' and no ')}`, remedy };
  };
}

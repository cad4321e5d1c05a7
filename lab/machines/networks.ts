/**
 * The two networks of the lab, in a network namespace of their own, so that nothing of the host's addresses, routes and filters is touched:
 *
 *     storage     10.77.0.0/24   bridge, one tap for each machine                      mirrors, and nothing else
 *     management  10.78.0.0/24   bridge, one tap for each machine, a veth to the host  ssh, API server, Temporal
 *
 * They are apart so that cutting the storage network leaves the way in. The host has 10.78.0.254 and no way into the storage network.
 * Taps outlive their machine: what is done to its network holds over its reboot.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../command.ts';
import { isInstalled } from '../tools/index.ts';

export type Network = 'storage' | 'management';

export const NETWORKS: readonly Network[] = ['storage', 'management'];

export const NAMESPACE = 'rehome-lab';

/** Where machines reach the host: API server, Temporal. */
export const HOST_MANAGEMENT_ADDRESS = '10.78.0.254';

/** The host's end of the veth. */
export const HOST_DEVICE = 'rehome-lab';

/** The tap of a machine: `storage1`, `management1`. */
export function networkDevice(network: Network, machine: number): string {
  return `${network}${machine}`;
}

/** Makes namespace, bridges, taps for machines 1 to `count`, and the host's address. Does nothing where they stand. */
export async function createNetworks(count: number): Promise<void> {
  if (await networksStand(count)) return;
  await removeNetworks();
  await run('ip', ['netns', 'add', NAMESPACE]);
  // No machine speaks IPv6, and the announcements of the bridges would only be noise.
  await run('ip', ['netns', 'exec', NAMESPACE, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6']);
  await inNamespace([
    'link set lo up',
    ...NETWORKS.flatMap((network) => [`link add ${network} type bridge stp_state 0`, `link set ${network} up`]),
    ...NETWORKS.flatMap((network) => machineNumbers(count).flatMap((machine) => tapCommands(network, machine))),
  ]);
  await run('ip', ['link', 'add', HOST_DEVICE, 'type', 'veth', 'peer', 'name', 'host', 'netns', NAMESPACE]);
  await inNamespace(['link set host master management', 'link set host up']);
  await run('ip', ['address', 'add', `${HOST_MANAGEMENT_ADDRESS}/24`, 'dev', HOST_DEVICE]);
  // The last step: a host's end that is up says that all the rest stands.
  await run('ip', ['link', 'set', HOST_DEVICE, 'up']);
}

/** Removes all of it, also what an interrupted creation left, and ends whatever still runs in the namespace: only the lab's machines can. */
export async function removeNetworks(): Promise<void> {
  // Nobody can have made any without it.
  if (!isInstalled('ip')) return;
  if (await linkExists([], HOST_DEVICE)) await run('ip', ['link', 'delete', HOST_DEVICE]);
  if (!(await namespaceExists())) return;
  const { stdout: pids } = await run('ip', ['netns', 'pids', NAMESPACE]);
  for (const pid of pids.split('\n').filter(Boolean)) killIfThere(Number(pid));
  await run('ip', ['netns', 'delete', NAMESPACE]);
}

/** Whether there is a namespace, also where the program that makes them is not installed: where ip-netns(8) says that it lists them. */
export function namespaceStands(): boolean {
  return existsSync(join('/run/netns', NAMESPACE));
}

/** Lets nothing through to and from the machine, or all again. The machine's own link stays up: it sees silence, not an error. */
export async function setConnected(network: Network, machine: number, connected: boolean): Promise<void> {
  await inNamespace([`link set ${networkDevice(network, machine)} ${connected ? 'up' : 'down'}`]);
}

/**
 * Limits each direction of a machine's traffic; `off` lifts the limit.
 * A queue can only be shaped where packets leave, so what the machine sends takes a detour through a device of its own (ifb).
 */
export async function setRate(network: Network, machine: number, limit: string): Promise<void> {
  const tap = networkDevice(network, machine);
  const detour = `${tap}-out`;
  // Both may be absent: 2 is tc's answer to that.
  for (const parent of ['root', 'ingress']) await inNamespaceRun(['tc', 'qdisc', 'delete', 'dev', tap, parent], [2]);
  if (await linkExists(['-n', NAMESPACE], detour)) await inNamespace([`link delete ${detour}`]);
  if (limit === 'off') return;

  const shape = ['root', 'tbf', 'rate', limit, 'burst', '256k', 'latency', '50ms'];
  await inNamespaceRun(['tc', 'qdisc', 'add', 'dev', tap, ...shape]);
  await inNamespace([`link add ${detour} type ifb`, `link set ${detour} up`]);
  await inNamespaceRun(['tc', 'qdisc', 'add', 'dev', detour, ...shape]);
  await inNamespaceRun(['tc', 'qdisc', 'add', 'dev', tap, 'ingress']);
  const everything = ['protocol', 'all', 'u32', 'match', 'u32', '0', '0'];
  await inNamespaceRun([
    'tc',
    'filter',
    'add',
    'dev',
    tap,
    'ingress',
    ...everything,
    'action',
    'mirred',
    'egress',
    'redirect',
    'dev',
    detour,
  ]);
}

async function networksStand(count: number): Promise<boolean> {
  const { exitCode, stdout } = await run('ip', ['-oneline', 'link', 'show', 'dev', HOST_DEVICE, 'up'], { expectedExitCodes: [1] });
  return exitCode === 0 && stdout !== '' && linkExists(['-n', NAMESPACE], networkDevice('management', count));
}

function tapCommands(network: Network, machine: number): string[] {
  const tap = networkDevice(network, machine);
  return [`tuntap add dev ${tap} mode tap`, `link set ${tap} master ${network}`, `link set ${tap} up`];
}

function machineNumbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

async function inNamespace(commands: readonly string[]): Promise<void> {
  await run('ip', ['-n', NAMESPACE, '-batch', '-'], { stdin: `${commands.join('\n')}\n` });
}

async function inNamespaceRun(command: readonly string[], expectedExitCodes: readonly number[] = []): Promise<void> {
  await run('ip', ['netns', 'exec', NAMESPACE, ...command], { expectedExitCodes });
}

async function namespaceExists(): Promise<boolean> {
  const { stdout } = await run('ip', ['netns', 'list']);
  return stdout.split('\n').some((line) => line.split(' ')[0] === NAMESPACE);
}

async function linkExists(where: readonly string[], device: string): Promise<boolean> {
  return (await run('ip', [...where, 'link', 'show', 'dev', device], { expectedExitCodes: [1, 255] })).exitCode === 0;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

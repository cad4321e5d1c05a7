/** What must hold of the host before the lab changes anything on it. */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { cacheDirectory } from './cache.ts';
import { HOST_DEVICE } from './machines/networks.ts';

export interface Problem {
  /** What is missing or in the way. */
  readonly problem: string;
  /** What the person can do about it. */
  readonly remedy: string;
}

/** A check says what is wrong, or nothing. */
export type Check = () => Promise<Problem | undefined> | Problem | undefined;

/** Says everything that is wrong at once, so that it can be put right at once. */
export class PreflightError extends Error {
  override readonly name = 'PreflightError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(['this machine cannot run the lab:', ...problems.map(({ problem, remedy }) => `  - ${problem}. ${remedy}`)].join('\n'));
    this.problems = problems;
  }
}

/** @throws {PreflightError} with every check's finding. */
export async function preflight(checks: readonly Check[]): Promise<void> {
  const findings = await Promise.all(checks.map(async (check) => check()));
  const problems = findings.filter((finding) => finding !== undefined);
  if (problems.length > 0) throw new PreflightError(problems);
}

/** The facts of a host that the machines depend on. */
export interface Host {
  readonly platform: string;
  readonly architecture: string;
  readonly root: boolean;
  /** Bits of CapEff (capabilities(7)). */
  readonly capabilities: bigint;
  readonly apt: boolean;
  /** ID and then ID_LIKE of os-release(5). */
  readonly distribution: readonly string[];
  readonly tunDevice: boolean;
  /** What can be had without swapping, within the limits of a container. */
  readonly availableMemoryBytes: number;
  /** Free space where the lab's state goes, and where the cache is. */
  readonly freeBytes: Readonly<Record<'lab' | 'cache', number>>;
  /** Device and IPv4 address. */
  readonly addresses: readonly { readonly device: string; readonly address: string }[];
}

const MiB = 2 ** 20;
const GiB = 2 ** 30;

const MEMORY_PER_MACHINE_BYTES = 900 * MiB;
/** Control plane, Temporal and controller; the control plane's build takes more, before the machines start. */
const MEMORY_BESIDE_MACHINES_BYTES = 2 * GiB;
/** Data disks are sparse: this is what a drain of a few volumes writes. */
const DISK_PER_MACHINE_BYTES = 1.5 * GiB;
/** The image while it is made, the packages, the control plane. */
const CACHE_BYTES = 3 * GiB;

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

/** What the machines need of the kind of host: root, Linux on x86_64 with apt. Holds or not, whatever an earlier lab has left. */
export function hostChecks(directory: string): Check[] {
  const host = inspectHost(directory);
  return Object.values(HOST_CHECKS).map((check) => () => check(host));
}

/** All that `count` machines need, memory and disk as well. Other parts of the lab add their own checks. */
export function machineChecks(count: number, directory: string): Check[] {
  const host = inspectHost(directory);
  return [...hostChecks(directory), ...Object.values(ROOM_CHECKS).map((check) => () => check(host, count))];
}

type HostCheck = (host: Host) => Problem | undefined;
type RoomCheck = (host: Host, machines: number) => Problem | undefined;

export const HOST_CHECKS = {
  platform: ({ platform, architecture }) =>
    unless(platform === 'linux' && architecture === 'x64', `this is ${platform} on ${architecture}`, 'The lab needs Linux on x86_64.'),

  root: ({ root }) =>
    unless(root, 'you are not root', 'Networks, namespaces and packages need it: run it again as root, for example with sudo.'),

  capabilities: ({ root, capabilities }) =>
    unless(
      !root || [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((bit) => capabilities & (1n << bit)),
      'root here may not make networks and namespaces (CAP_NET_ADMIN, CAP_SYS_ADMIN)',
      'In a container, run it with --privileged.',
    ),

  apt: ({ apt }) =>
    unless(apt, 'there is no apt-get', "The nodes are made of Debian's packages: run the lab on Debian, or in a container of it."),

  distribution: ({ apt, distribution }) =>
    unless(
      !apt || (distribution.includes('debian') && !distribution.includes('ubuntu')),
      `apt of ${distribution[0] ?? 'an unknown system'} does not offer Debian's kernel`,
      'The nodes are made of it: run the lab on Debian, or in a container of it.',
    ),

  tunDevice: ({ tunDevice }) =>
    unless(tunDevice, 'there is no /dev/net/tun', 'Load the module: modprobe tun. In a container, add --device /dev/net/tun.'),

  address: ({ addresses }) => {
    const taken = addresses.find(({ device, address }) => address.startsWith('10.78.0.') && device !== HOST_DEVICE);
    const problem = `${taken?.device} has the address ${taken?.address} of the lab's own network`;
    return unless(!taken, problem, `The lab needs 10.78.0.0/24 for itself: take it from ${taken?.device}.`);
  },
} satisfies Record<string, HostCheck>;

/** What a lab takes up while it is there, so also one that was left behind. */
export const ROOM_CHECKS = {
  memory: ({ availableMemoryBytes }, machines) => {
    const needed = machines * MEMORY_PER_MACHINE_BYTES + MEMORY_BESIDE_MACHINES_BYTES;
    const problem = `${inGiB(availableMemoryBytes)} of memory are available, ${machines} nodes need ${inGiB(needed)}`;
    return unless(availableMemoryBytes >= needed, problem, 'End other programs, or start fewer nodes (--nodes).');
  },

  labDisk: ({ freeBytes }, machines) =>
    enoughDisk(
      freeBytes.lab,
      machines * DISK_PER_MACHINE_BYTES,
      "the lab's directory",
      'Make room, or set REHOME_LAB_DIR to another place.',
    ),

  cacheDisk: ({ freeBytes }) => enoughDisk(freeBytes.cache, CACHE_BYTES, 'the cache', 'Make room, or set XDG_CACHE_HOME to another place.'),
} satisfies Record<string, RoomCheck>;

function unless(good: boolean, problem: string, remedy: string): Problem | undefined {
  return good ? undefined : { problem, remedy };
}

function enoughDisk(free: number, needed: number, where: string, remedy: string): Problem | undefined {
  return unless(free >= needed, `${inGiB(free)} of disk are free for ${where}, ${inGiB(needed)} are needed`, remedy);
}

function inGiB(bytes: number): string {
  return `${(bytes / GiB).toFixed(1)} GiB`;
}

function inspectHost(labDirectory: string): Host {
  return {
    platform: process.platform,
    architecture: process.arch,
    root: process.getuid?.() === 0,
    capabilities: effectiveCapabilities(),
    apt: ['/usr/bin/apt-get', '/usr/bin/dpkg-deb'].every((program) => existsSync(program)),
    distribution: distributionIn(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''),
    tunDevice: existsSync('/dev/net/tun'),
    availableMemoryBytes: process.availableMemory(),
    freeBytes: { lab: freeSpace(labDirectory), cache: freeSpace(cacheDirectory()) },
    addresses: Object.entries(networkInterfaces()).flatMap(([device, all]) => (all ?? []).map(({ address }) => ({ device, address }))),
  };
}

/** @param osRelease content of /etc/os-release. */
export function distributionIn(osRelease: string): string[] {
  const value = (key: string) => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  return [value('ID'), ...value('ID_LIKE').split(' ')].filter(Boolean);
}

function effectiveCapabilities(): bigint {
  if (process.platform !== 'linux') return 0n;
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return BigInt(`0x${line?.[1] ?? '0'}`);
}

/** In bytes, of the file system that a directory is on or will be on. */
function freeSpace(directory: string): number {
  if (!existsSync(directory)) return freeSpace(dirname(directory));
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

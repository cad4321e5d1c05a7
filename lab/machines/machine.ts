/**
 * One virtual node.
 *
 * Its disks outlive it: a kill is a power cut, a start on the same disks is the node's reboot. All that is known of it is in its directory and in
 * the record of its process, so any later command finds it as it is.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../command.ts';
import type { NodeImage } from '../image/index.ts';
import { BackgroundProcesses } from '../processes.ts';
import { NAMESPACE, NETWORKS, type Network, setConnected, setRate } from './networks.ts';
import { qemuArguments } from './qemu.ts';
import { answersSsh, ensureKey, SshConnection, shellQuote } from './ssh.ts';

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  /** Default 60. At its end the connection is given up and CommandError thrown; the command itself may still run on the node. */
  readonly timeoutSeconds?: number;
  readonly stdin?: string | Uint8Array;
  /** Exit codes besides 0 that are an answer. 255 is ssh's own: the node did not answer. */
  readonly expectedExitCodes?: readonly number[];
}

/** How a machine is made. Kept in its directory: a later start without them uses those of the last. */
export interface MachineSettings {
  readonly image: NodeImage;
  /** squashfs that appears at /opt/rehome; none by default. */
  readonly agentDisk?: string;
  /** Default 768: Node.js with Temporal's native module beside a sync in the page cache. */
  readonly memoryMiB?: number;
  /** Size of the sparse data disk, /dev/vda. Default 4 GiB. An existing disk keeps its size. */
  readonly dataDiskBytes?: number;
  /** Logical block size of the data disk as the node sees it. Default 512. */
  readonly logicalBlockSizeBytes?: 512 | 4096;
}

const MiB = 2 ** 20;
const DEFAULT_MEMORY_MIB = 768;
const DEFAULT_DATA_DISK_BYTES = 4096 * MiB;
const STATE_DISK_BYTES = 64 * MiB;
/** A boot takes 5 s, on a busy host 20. */
const BOOT_SECONDS = 60;
/**
 * QEMU 7.2 with a thread for each processor may miss that one of them has changed the kernel's text, as kernels do while they boot: then both run for
 * ever into a breakpoint (int3) that is not there any more. Seen once in some hundreds of boots, before the kernel had said a word; once in some
 * thousands it has ended there with a segmentation fault. That was with two processors in a node. Whether it is over with one, only as many boots can tell.
 */
const MAXIMUM_BOOTS = 3;

export class Machine {
  /** `n1` is machine number 1. */
  readonly name: string;
  readonly storageAddress: string;
  readonly managementAddress: string;
  readonly #number: number;
  readonly #labDirectory: string;
  readonly #directory: string;
  readonly #processes: BackgroundProcesses;
  readonly #ssh: SshConnection;

  constructor(name: string, labDirectory: string) {
    this.name = name;
    this.#number = machineNumber(name);
    this.storageAddress = `10.77.0.${this.#number}`;
    this.managementAddress = `10.78.0.${this.#number}`;
    this.#labDirectory = labDirectory;
    this.#directory = join(labDirectory, 'machines', name);
    this.#processes = new BackgroundProcesses(labDirectory);
    this.#ssh = new SshConnection(name, this.managementAddress, labDirectory);
  }

  /**
   * Powers it on: new disks the first time, the same ones ever after. The networks must stand. Does nothing while it runs.
   * @param settings what differs from the last start; the first one needs at least the image.
   */
  async start(settings: Partial<MachineSettings> = {}): Promise<void> {
    if (this.isRunning()) return;
    const { image, agentDisk, ...hardware } = await this.#rememberSettings(settings);
    const dataDisk = await this.#ensureDataDisk(hardware.dataDiskBytes ?? DEFAULT_DATA_DISK_BYTES);
    const stateDisk = await this.#ensureStateDisk();
    await this.#ssh.close();
    await rm(this.#console, { force: true });
    const arguments_ = qemuArguments({
      number: this.#number,
      memoryMiB: hardware.memoryMiB ?? DEFAULT_MEMORY_MIB,
      kernel: image.kernel,
      initramfs: image.initramfs,
      sshKey: await ensureKey(this.#labDirectory),
      console: this.#console,
      disks: [
        { file: dataDisk, logicalBlockSizeBytes: hardware.logicalBlockSizeBytes ?? 512 },
        { file: stateDisk },
        { file: image.programs, readOnly: true },
        ...(agentDisk ? [{ file: agentDisk, readOnly: true }] : []),
      ],
    });
    await this.#processes.start(this.#processName, {
      program: 'ip',
      args: ['netns', 'exec', NAMESPACE, 'qemu-system-x86_64', ...arguments_],
    });
  }

  /** Returns when it runs commands: volume groups are active and /state is mounted. @throws with its console's last lines. */
  async waitUntilReady(): Promise<void> {
    for (let boots = 1; !(await this.#answersWithin(BOOT_SECONDS)); boots += 1) {
      const failed = this.isRunning() ? `${this.name} did not answer within ${BOOT_SECONDS} s` : `${this.name} has ended while it booted`;
      if (boots === MAXIMUM_BOOTS) throw new Error(`${failed}, ${boots} times. ${await this.#lastWords()}`);
      console.error(`${failed}: it is started again`);
      await this.kill();
      await this.start();
    }
    await this.exec('true');
  }

  async #answersWithin(seconds: number): Promise<boolean> {
    const deadline = Date.now() + seconds * 1000;
    while (!(await answersSsh(this.managementAddress))) {
      if (!this.isRunning()) {
        if (await this.#processes.hasEndedByItself(this.#processName)) return false;
        throw new Error(`${this.name} is not running. ${await this.#lastWords()}`);
      }
      if (Date.now() > deadline) return false;
      await sleep(100);
    }
    return true;
  }

  isRunning(): boolean {
    return this.#processes.isRunning(this.#processName);
  }

  /** Power cut: what the node had not written to its disks is gone. */
  async kill(): Promise<void> {
    await this.#processes.kill(this.#processName);
    await this.#ssh.close();
  }

  /** Its kernel hangs, connections and all, until it is thawed: also in the middle of a write. */
  freeze(): void {
    this.#processes.freeze(this.#processName, true);
  }

  thaw(): void {
    this.#processes.freeze(this.#processName, false);
  }

  /**
   * Runs a command on the node.
   * @param command a list is run as it is, each argument quoted; a string is a script of the node's shell.
   * @throws {CommandError} as `run` of lab/command.ts.
   */
  exec(command: readonly string[] | string, options: ExecOptions = {}): Promise<ExecResult> {
    return this.#ssh.run(typeof command === 'string' ? command : shellQuote(command), { timeoutSeconds: 60, ...options });
  }

  /** Runs a shell script on the node with its streams piped: for logs that are followed. Its end is the caller's to see. */
  spawn(command: string): ChildProcess {
    return this.#ssh.spawn(command);
  }

  /** Drops every packet to and from the machine; the node sees no change of its link. Holds over a reboot, until `heal`. */
  async cut(network: Network | 'both' = 'storage'): Promise<void> {
    for (const each of networksIn(network)) await setConnected(each, this.#number, false);
  }

  /** Ends every cut of this machine. */
  async heal(): Promise<void> {
    for (const each of NETWORKS) await setConnected(each, this.#number, true);
  }

  /** Limits what the machine sends, and what it receives, to a rate in words of tc, as `80mbit`. Holds over a reboot, until `off`. */
  async rate(limit: string, network: Network | 'both' = 'storage'): Promise<void> {
    for (const each of networksIn(network)) await setRate(each, this.#number, limit);
  }

  get #processName(): string {
    return `machine-${this.name}`;
  }

  get #console(): string {
    return join(this.#directory, 'console.log');
  }

  async #rememberSettings(changes: Partial<MachineSettings>): Promise<MachineSettings> {
    const file = join(this.#directory, 'settings.json');
    const known = existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as MachineSettings) : undefined;
    const image = changes.image ?? known?.image;
    if (!image) throw new Error(`${this.name} has never been started: it needs an image`);
    const settings: MachineSettings = { ...known, ...changes, image };
    await mkdir(this.#directory, { recursive: true });
    await writeFile(`${file}.new`, JSON.stringify(settings, undefined, 2));
    await rename(`${file}.new`, file);
    return settings;
  }

  async #ensureDataDisk(bytes: number): Promise<string> {
    const file = join(this.#directory, 'data.img');
    if (!existsSync(file)) await makeSparseFile(file, bytes);
    return file;
  }

  async #ensureStateDisk(): Promise<string> {
    const file = join(this.#directory, 'state.img');
    if (existsSync(file)) return file;
    await makeSparseFile(`${file}.new`, STATE_DISK_BYTES);
    await run('mkfs.ext4', ['-q', '-F', `${file}.new`]);
    await rename(`${file}.new`, file);
    return file;
  }

  async #lastWords(): Promise<string> {
    const texts = await Promise.all(
      [this.#console, this.#processes.logFile(this.#processName)].map((file) => readFile(file, 'utf8').catch(() => '')),
    );
    const lines = texts.join('\n').trim().split('\n').slice(-10);
    return `Its last words:\n${lines.join('\n')}`;
  }
}

/** Machines n1 to n<count> of the lab whose state is in `directory`; opens nothing and changes nothing. */
export function openMachines(count: number, directory: string): Machine[] {
  return Array.from({ length: count }, (_, index) => new Machine(`n${index + 1}`, directory));
}

/** @throws where the name is no machine's. */
export function machineNumber(name: string): number {
  const number = Number(/^n([1-9])$/.exec(name)?.[1]);
  if (!number) throw new Error(`no machine is called ${name}: they are n1 to n9`);
  return number;
}

function networksIn(network: Network | 'both'): readonly Network[] {
  return network === 'both' ? NETWORKS : [network];
}

async function makeSparseFile(file: string, bytes: number): Promise<void> {
  const handle = await open(file, 'w');
  try {
    await handle.truncate(bytes);
  } finally {
    await handle.close();
  }
}

/**
 * One virtual node.
 *
 * Its disks outlive it: a kill is a power cut, a start on the same disks is the node's reboot. All that is known of it is in its directory and in
 * the record of its process, so any later command finds it as it is.
 */
import type { ChildProcess } from 'node:child_process';
import type { NodeImage } from '../image/index.ts';
import type { Network } from './networks.ts';

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

export class Machine {
  /** `n1` is machine number 1. */
  readonly name: string;
  readonly storageAddress: string;
  readonly managementAddress: string;

  constructor(name: string, _directory: string) {
    this.name = name;
    this.storageAddress = `10.77.0.${machineNumber(name)}`;
    this.managementAddress = `10.78.0.${machineNumber(name)}`;
  }

  /**
   * Powers it on: new disks the first time, the same ones ever after. The networks must stand. Does nothing while it runs.
   * @param settings what differs from the last start; the first one needs at least the image.
   */
  async start(_settings: Partial<MachineSettings> = {}): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** Returns when it runs commands: volume groups are active and /state is mounted. @throws with its console's last lines. */
  async waitUntilReady(_timeoutSeconds = 60): Promise<void> {
    throw new Error('not implemented yet');
  }

  isRunning(): boolean {
    throw new Error('not implemented yet');
  }

  /** Power cut: what the node had not written to its disks is gone. */
  async kill(): Promise<void> {
    throw new Error('not implemented yet');
  }

  /**
   * Runs a command on the node.
   * @param command a list is run as it is, each argument quoted; a string is a script of the node's shell.
   * @throws {CommandError} as `run` of lab/command.ts.
   */
  async exec(_command: readonly string[] | string, _options: ExecOptions = {}): Promise<ExecResult> {
    throw new Error('not implemented yet');
  }

  /** Runs a shell script on the node with its streams piped: for logs that are followed. Its end is the caller's to see. */
  spawn(_command: string): ChildProcess {
    throw new Error('not implemented yet');
  }

  /** Drops every packet to and from the machine; the node sees no change of its link. Holds over a reboot, until `heal`. */
  async cut(_network: Network | 'both' = 'storage'): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** Ends every cut of this machine. */
  async heal(): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** Limits what the machine sends, and what it receives, to a rate in words of tc, as `80mbit`. Holds over a reboot, until `off`. */
  async rate(_limit: string, _network: Network | 'both' = 'storage'): Promise<void> {
    throw new Error('not implemented yet');
  }
}

/** Machines n1 to n<count> of the lab whose state is in `directory`; opens nothing and changes nothing. */
export function openMachines(count: number, directory: string): Machine[] {
  return Array.from({ length: count }, (_, index) => new Machine(`n${index + 1}`, directory));
}

/** @throws where the name is no machine's. */
export function machineNumber(name: string): number {
  const number = Number(/^n([1-9]\d?)$/.exec(name)?.[1]);
  if (!number) throw new Error(`no machine is called ${name}: they are n1, n2, ...`);
  return number;
}

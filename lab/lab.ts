/** One lab: its machines, its cluster, its Temporal server, and what is done to them by name. */
import type { CommandOptions, CommandResult } from './command.ts';
import { type Machine, openMachines } from './machines/index.ts';
import type { Steps } from './progress.ts';
import { type LabState, labDirectory, NoLabError, readState } from './state.ts';
import type { VolumeRequest } from './volume/create.ts';

export interface UpOptions {
  /** Default 3. */
  readonly nodes?: number;
  /** Whether controller and agents are started too. Default true. */
  readonly rehome?: boolean;
  /** Directory of prebuilt DRBD 9 modules; the kernel's own 8.4 by default. */
  readonly drbdModulesDirectory?: string;
  /** Added to the controller's environment, at every start of it in this lab. */
  readonly controllerEnvironment?: Readonly<Record<string, string>>;
  readonly steps?: Steps;
}

export interface LabStatus {
  readonly processes: readonly { readonly name: string; readonly running: boolean; readonly pid: number }[];
}

export class Lab {
  readonly directory: string;
  readonly state: LabState;
  readonly machines: readonly Machine[];

  private constructor(directory: string, state: LabState) {
    this.directory = directory;
    this.state = state;
    this.machines = openMachines(state.nodes, directory);
  }

  /** Brings everything up; what an earlier, interrupted `up` left is thrown away first. @throws PreflightError before anything is changed. */
  static async up(_options: UpOptions = {}): Promise<Lab> {
    throw new Error('not implemented yet');
  }

  /** The lab that is up. @throws {NoLabError} */
  static open(directory: string = labDirectory()): Lab {
    const state = readState(directory);
    if (state?.phase !== 'ready') throw new NoLabError(directory);
    return new Lab(directory, state);
  }

  /** Ends all of it and removes its state; with `purge` the caches too. Does nothing where no lab is. */
  static async down(_options: { readonly purge?: boolean; readonly directory?: string; readonly steps?: Steps } = {}): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** @throws where there is no such node. */
  machine(name: string): Machine {
    const machine = this.machines.find((candidate) => candidate.name === name);
    if (!machine) throw new Error(`no node is called ${name}: there are ${this.machines.map((known) => known.name).join(', ')}`);
    return machine;
  }

  /** Of a cluster administrator. */
  get kubeconfig(): string {
    throw new Error('not implemented yet');
  }

  /** Host and port of Temporal's frontend. */
  get temporalAddress(): string {
    throw new Error('not implemented yet');
  }

  /** Address of Temporal's Web UI. */
  get temporalUiUrl(): string {
    throw new Error('not implemented yet');
  }

  /** KUBECONFIG, TEMPORAL_ADDRESS, and PATH with kubectl and temporal: what `lab env` prints. */
  environment(): Record<string, string> {
    throw new Error('not implemented yet');
  }

  /** Runs kubectl as administrator. @throws CommandError */
  async kubectl(_args: readonly string[], _options: CommandOptions = {}): Promise<CommandResult> {
    throw new Error('not implemented yet');
  }

  /** `kubectl apply` of objects. */
  async apply(..._objects: readonly object[]): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** SIGKILL by name: a node (power cut), `controller`, `agent-n1`, `kubelet-n1`, `temporal`, `apiserver`, `etcd`, `controller-manager`, `scheduler`. */
  async kill(_name: string): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** Runs Temporal's command line against the lab's server. @throws CommandError */
  async temporal(_args: readonly string[], _options: CommandOptions = {}): Promise<CommandResult> {
    throw new Error('not implemented yet');
  }

  /**
   * Starts what `kill` ended, on the same data; returns when it answers.
   * @param options.environment for `controller`: added to its environment this time, as `REHOME_FAULTS` of a test.
   */
  async start(_name: string, _options: { readonly environment?: Readonly<Record<string, string>> } = {}): Promise<void> {
    throw new Error('not implemented yet');
  }

  /** Returns when the claim is bound. */
  async createVolume(_request: VolumeRequest): Promise<void> {
    throw new Error('not implemented yet');
  }

  async status(): Promise<LabStatus> {
    throw new Error('not implemented yet');
  }

  /** Where a background process of the lab writes: `apiserver`, `controller`, `temporal`, `kubelet-n1`, ... */
  logFile(_name: string): string {
    throw new Error('not implemented yet');
  }
}

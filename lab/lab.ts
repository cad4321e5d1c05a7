/** One lab: its machines, its cluster, its Temporal server, and what is done to them by name. */
import { rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type ApiClient, COMPONENTS, type Component, type ControlPlane } from './cluster/index.ts';
import type { ListenAddress } from './cluster/preflight.ts';
import { type CommandOptions, type CommandResult, run } from './command.ts';
import { removeCaches, takeDown } from './down.ts';
import type { Drbd9 } from './drbd9.ts';
import { containerLog } from './kubelet/node-scripts.ts';
import { type Machine, openMachines } from './machines/index.ts';
import { holdDirectory, kubeletProgram, NODES, openControlPlane } from './parts.ts';
import { evictUnderPressure } from './pressure.ts';
import { BackgroundProcesses } from './processes.ts';
import { Steps } from './progress.ts';
import { AGENT_DAEMON_SET, startController } from './rehome.ts';
import { isOwn, type LabState, labDirectory, NoLabError, readableState, readState, writeState } from './state.ts';
import { bringUp } from './up.ts';
import { createVolume, ensureThinPool, type VolumeRequest } from './volume/create.ts';
import { deleteVolume } from './volume/delete.ts';
import { waitFor } from './wait.ts';

export interface UpOptions {
  /** Default 3. */
  readonly nodes?: number;
  /** Whether controller and agents are started too. Default true. */
  readonly rehome?: boolean;
  /** Added to the controller's environment, whenever it is started. */
  readonly controllerEnvironment?: Readonly<Record<string, string>>;
  /** By default every node has the 8.4 of its kernel. */
  readonly drbd9?: Drbd9;
  /**
   * `process`, the default: of no use to anybody after the end of this process, and replaced by the next `up` where that could not take it down.
   * `person`: up until somebody says `lab down`.
   */
  readonly owner?: LabState['owner'];
  /** Where the caller is going to listen: said to be taken beforehand, with all else that is in the way. */
  readonly willListenOn?: readonly ListenAddress[];
  readonly steps?: Steps;
  readonly directory?: string;
}

export interface ProcessStatus {
  readonly name: string;
  readonly running: boolean;
  readonly pid: number;
}

export class Lab {
  readonly directory: string;
  readonly state: LabState;
  readonly machines: readonly Machine[];
  readonly #controlPlane: ControlPlane;
  readonly #processes: BackgroundProcesses;

  private constructor(directory: string, state: LabState) {
    this.directory = directory;
    this.state = state;
    this.machines = openMachines(state.nodes, directory);
    this.#controlPlane = openControlPlane(directory, state);
    this.#processes = new BackgroundProcesses(directory);
  }

  /**
   * Brings everything up. What a killed `up`, demo or test run has left is thrown away first.
   * @throws PreflightError or LabExistsError before anything is changed; whatever else goes wrong, nothing is left.
   */
  static async up(options: UpOptions = {}): Promise<Lab> {
    const {
      nodes = NODES,
      rehome = true,
      controllerEnvironment = {},
      steps = new Steps(),
      directory = labDirectory(),
      owner = 'process',
      willListenOn = [],
      drbd9,
    } = options;
    const settings = { nodes, rehome, controllerEnvironment, owner, willListenOn, steps, directory };
    return new Lab(directory, await bringUp({ ...settings, ...(drbd9 && { drbd9 }) }));
  }

  /** The lab that is up. @throws {NoLabError} */
  static open(directory: string = labDirectory()): Lab {
    const state = readState(directory);
    if (state?.phase !== 'ready') throw new NoLabError(directory);
    return new Lab(directory, state);
  }

  /** Ends all of it, whoever uses it, and removes its state; with `purge` the caches too. Does nothing where no lab is. */
  static async down(options: { readonly purge?: boolean; readonly directory?: string; readonly steps?: Steps } = {}): Promise<void> {
    const { purge = false, directory = labDirectory(), steps = new Steps() } = options;
    await steps.run('the lab is down', () => takeDown(directory));
    if (purge) await steps.run('the caches are removed', removeCaches);
  }

  /** Ends the lab that this process has brought up, or is bringing up, and no other: one that was in its way is somebody else's. */
  static async downOwn(options: { readonly directory?: string; readonly steps?: Steps } = {}): Promise<void> {
    if (isOwn(readableState(options.directory ?? labDirectory()))) await Lab.down(options);
  }

  /** From now on it is a person's, and stays after the end of this process. @throws {NoLabError} where it was taken down meanwhile. */
  keep(): void {
    const state = readState(this.directory);
    if (!state || !isOwn(state)) throw new NoLabError(this.directory);
    writeState(this.directory, { ...state, owner: 'person' });
  }

  /** @throws where there is no such node. */
  machine(name: string): Machine {
    const machine = this.machines.find((candidate) => candidate.name === name);
    if (!machine) throw new Error(`no node is called ${name}: there are ${this.machines.map((known) => known.name).join(', ')}`);
    return machine;
  }

  /** File, of a cluster administrator. */
  get kubeconfig(): string {
    return this.#controlPlane.kubeconfig;
  }

  /** Host and port of Temporal's frontend. */
  get temporalAddress(): string {
    return this.#controlPlane.temporalAddress;
  }

  get temporalUiUrl(): string {
    return this.#controlPlane.temporalUiUrl;
  }

  /** KUBECONFIG, TEMPORAL_ADDRESS, and PATH with kubectl and temporal: what `lab env` prints. */
  environment(): Record<string, string> {
    const { controlPlaneDirectory, temporalDirectory } = this.state.programs;
    return {
      KUBECONFIG: this.kubeconfig,
      TEMPORAL_ADDRESS: this.temporalAddress,
      PATH: [controlPlaneDirectory, temporalDirectory, process.env.PATH].join(delimiter),
    };
  }

  /** Runs kubectl as administrator. @throws CommandError */
  kubectl(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(this.#controlPlane.kubectl, ['--kubeconfig', this.kubeconfig, ...args], options);
  }

  /** Runs Temporal's command line against the lab's server. @throws CommandError */
  temporal(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(this.#controlPlane.temporal, [...args, '--address', this.temporalAddress], options);
  }

  /** `kubectl apply` of objects. */
  async apply(...objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.kubectl(['apply', '--filename', '-'], { stdin: JSON.stringify(list) });
  }

  /** Lends a client with an administrator's rights. */
  withAdministrator<T>(use: (client: ApiClient) => Promise<T>): Promise<T> {
    return this.#controlPlane.withAdministrator(use);
  }

  /**
   * SIGKILL by name: a node (power cut), `kubelet-n1`, `controller`, `apiserver`, `etcd`, `controller-manager`, `scheduler`, `temporal`; and
   * `agent-n1`, which its kubelet then does not start again until `start`.
   */
  async kill(name: string): Promise<void> {
    const part = this.#part(name);
    switch (part.kind) {
      case 'machine':
        return part.machine.kill();
      case 'agent':
        return this.#killAgent(part.machine);
      default:
        return this.#processes.kill(name);
    }
  }

  /**
   * Starts what `kill` ended, on the same data; returns when it answers. Does nothing where it runs.
   * @param options.environment added to the controller's environment this time: fault points of a test.
   */
  async start(name: string, { environment = {} }: { readonly environment?: Readonly<Record<string, string>> } = {}): Promise<void> {
    const part = this.#part(name);
    switch (part.kind) {
      case 'machine':
        await part.machine.start();
        return part.machine.waitUntilReady();
      case 'agent':
        return this.#startAgent(part.machine);
      case 'kubelet':
        return this.#processes.start(name, kubeletProgram(this.directory, part.machine.name));
      case 'controller':
        return startController(this.#controlPlane, this.directory, { ...this.state.controllerEnvironment, ...environment });
      case 'component':
        return this.#controlPlane.start(part.component);
    }
  }

  /** Of a Temporal server that was killed: the next start finds it empty. */
  loseTemporalDatabase(): Promise<void> {
    return this.#controlPlane.loseTemporalDatabase();
  }

  /** Returns when the claim is bound. */
  async createVolume(request: VolumeRequest): Promise<void> {
    const machines = [request.node].flat().map((node) => this.machine(node));
    if (request.thin) await Promise.all(this.machines.filter((machine) => machine.isRunning()).map(ensureThinPool));
    return this.withAdministrator((client) => createVolume(request, machines, client));
  }

  /** Removes a volume's claim, objects and logical volumes, wherever it is by now. Does nothing where there is none. */
  deleteVolume(name: string, namespace = 'default'): Promise<void> {
    return this.withAdministrator((client) => deleteVolume(name, namespace, this.machines, client));
  }

  /** The node's kubelet gives a pod up, as under node pressure. @param pod `name` in namespace `default`, or `namespace/name`. */
  async pressure(node: string, pod: string): Promise<void> {
    const { name } = this.machine(node);
    await this.withAdministrator((client) => evictUnderPressure(client, name, pod));
  }

  /** What runs in the background, and what does not any more. */
  processes(): readonly ProcessStatus[] {
    return this.#processes.list();
  }

  /** Where a background process writes: `apiserver`, `controller`, `temporal`, `kubelet-n1`, ... */
  logFile(name: string): string {
    return this.#processes.logFile(name);
  }

  /** A shell command for the node that prints the log of the agent, from its beginning or followed. @throws where no agent is on the node. */
  async agentLogCommand(node: string, follow: boolean): Promise<string> {
    const uids = await this.#agentPods(this.machine(node));
    if (uids.length === 0) throw new Error(`no agent is on ${node}`);
    return `tail -n +1 ${follow ? '-F ' : ''}${uids.map((uid) => containerLog(uid, 'agent')).join(' ')}`;
  }

  #part(name: string): Part {
    const [, kind, node] = /^(?:(agent|kubelet)-)?(n\d+)$/.exec(name) ?? [];
    if (node) return { kind: (kind as 'agent' | 'kubelet' | undefined) ?? 'machine', machine: this.machine(node) };
    if (name === 'controller') return { kind: 'controller' };
    if (COMPONENTS.includes(name as Component)) return { kind: 'component', component: name as Component };
    throw new Error(`nothing is called ${name}: there are n1, agent-n1, kubelet-n1 (and so on), controller, ${COMPONENTS.join(', ')}`);
  }

  async #killAgent(machine: Machine): Promise<void> {
    const directory = holdDirectory(this.directory, machine.name);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, `rehome-system_${AGENT_DAEMON_SET}`), '');
    const pids = (await this.#agentPods(machine)).map((uid) => `$(cat ${containerLog(uid, 'agent').replace(/log$/, 'pid')})`);
    if (pids.length > 0) await machine.exec(`kill -9 ${pids.join(' ')}; true`);
  }

  async #startAgent(machine: Machine): Promise<void> {
    rmSync(join(holdDirectory(this.directory, machine.name), `rehome-system_${AGENT_DAEMON_SET}`), { force: true });
    const selector = ['--field-selector', `spec.nodeName=${machine.name}`, '--selector', `app.kubernetes.io/name=${AGENT_DAEMON_SET}`];
    await waitFor(`the agent on ${machine.name} is Ready`, async () => {
      const output = ['-o', 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'];
      return (await this.kubectl(['--namespace', 'rehome-system', 'get', 'pods', ...selector, ...output])).stdout === 'True';
    });
  }

  /** Uids of the agent's pods on a node, as the node itself knows them. */
  async #agentPods(machine: Machine): Promise<string[]> {
    const { stdout } = await machine.exec(`grep -l '^rehome-system/${AGENT_DAEMON_SET}-' /run/kubelet/pods/*/pod || true`);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((file) => file.split('/').at(-2)!);
  }
}

type Part =
  | { readonly kind: 'machine' | 'agent' | 'kubelet'; readonly machine: Machine }
  | { readonly kind: 'controller' }
  | { readonly kind: 'component'; readonly component: Component };

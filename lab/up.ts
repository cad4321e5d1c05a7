/** `lab up`: from whatever an earlier lab left to everything that answers. */

import { ControlPlane } from './cluster/control-plane.ts';
import { freePorts } from './cluster/ports.ts';
import { clusterChecks } from './cluster/preflight.ts';
import { ensurePrograms } from './cluster/programs.ts';
import { takeDown } from './down.ts';
import { ensureImage, type NodeImage } from './image/index.ts';
import { createNetworks, HOST_MANAGEMENT_ADDRESS, type Machine, openMachines } from './machines/index.ts';
import { kubeletName, kubeletProgram, PORTS } from './parts.ts';
import { machineChecks, preflight } from './preflight.ts';
import { BackgroundProcesses } from './processes.ts';
import type { Steps } from './progress.ts';
import { applyCustomResources, buildRehome, deployAgents, startController, waitForAgents, writeControllerKubeconfig } from './rehome.ts';
import { LabExistsError, type LabState, readState, starterLives, thisProcess, writeState } from './state.ts';
import { ensureTools } from './tools/index.ts';
import { ensurePool } from './volume/create.ts';
import { waitFor } from './wait.ts';

export interface UpSettings {
  readonly directory: string;
  readonly nodes: number;
  readonly rehome: boolean;
  readonly controllerEnvironment: Readonly<Record<string, string>>;
  readonly drbdModulesDirectory?: string;
  readonly steps: Steps;
}

/** @throws PreflightError or LabExistsError before anything is changed; whatever else goes wrong, nothing is left. */
export async function bringUp(settings: UpSettings): Promise<LabState> {
  const { directory, nodes, steps } = settings;
  refuseToReplace(readState(directory));
  await takeDown(directory);
  await preflight([...machineChecks(nodes, directory), ...clusterChecks(Object.values(PORTS))]);
  try {
    return await new Ascent(settings).run();
  } catch (error) {
    await steps.run('something went wrong: taken down', () => takeDown(directory));
    throw error;
  }
}

function refuseToReplace(state: LabState | undefined): void {
  if (state?.phase === 'ready') throw new LabExistsError('a lab is up: take it down first by `npm run lab -- down`');
  if (state && starterLives(state)) throw new LabExistsError(`process ${state.startedBy.pid} is bringing a lab up`);
}

/** Each step begins only while nobody has taken the lab down. */
class Ascent {
  readonly #settings: UpSettings;
  readonly #machines: readonly Machine[];

  constructor(settings: UpSettings) {
    this.#settings = settings;
    this.#machines = openMachines(settings.nodes, settings.directory);
  }

  async run(): Promise<LabState> {
    const { directory, nodes, rehome, controllerEnvironment, steps } = this.#settings;
    const [etcdClient, etcdPeer] = (await freePorts(2)) as [number, number];
    const state: LabState = {
      phase: 'starting',
      startedBy: thisProcess(),
      nodes,
      rehome,
      controllerEnvironment,
      programs: { controlPlaneDirectory: '', temporalDirectory: '' },
      ports: { etcdClient, etcdPeer, ...PORTS },
    };
    writeState(directory, state);

    await ensureTools(steps.say);
    const [image, programs, build] = await Promise.all([
      this.#step("the nodes' system is at hand", () => ensureImage(steps.say, this.#imageOptions())),
      this.#step('Kubernetes and Temporal are at hand', () => ensurePrograms(steps.say)),
      rehome ? this.#step('controller and agent are built', () => buildRehome(directory)) : undefined,
    ]);
    const started = { ...state, programs };
    this.#checkNotTakenDown();
    writeState(directory, started);

    await this.#step('networks stand', () => createNetworks(nodes));
    const [controlPlane] = await Promise.all([this.#startControlPlane(started), this.#startMachines(image, build?.agentDisk)]);
    await this.#joinNodes(controlPlane);
    if (rehome) await this.#startRehome(controlPlane, started);

    const ready: LabState = { ...started, phase: 'ready' };
    this.#checkNotTakenDown();
    writeState(directory, ready);
    return ready;
  }

  #imageOptions(): { readonly drbdModulesDirectory?: string } {
    const { drbdModulesDirectory } = this.#settings;
    return drbdModulesDirectory ? { drbdModulesDirectory } : {};
  }

  async #startMachines(image: NodeImage, agentDisk: string | undefined): Promise<void> {
    await this.#step(`${this.#machines.map(({ name }) => name).join(', ')} run`, () =>
      Promise.all(
        this.#machines.map(async (machine) => {
          await machine.start({ image, ...(agentDisk && { agentDisk }) });
          await machine.waitUntilReady();
          await ensurePool(machine);
        }),
      ),
    );
  }

  async #startControlPlane(state: LabState): Promise<ControlPlane> {
    const { directory, rehome } = this.#settings;
    const controlPlane = await this.#step('the control plane and Temporal answer', () =>
      ControlPlane.create({ directory, address: HOST_MANAGEMENT_ADDRESS, ports: state.ports, programs: state.programs }),
    );
    await Promise.all(this.#machines.map(({ name }) => controlPlane.addUser(kubeletName(name), `system:node:${name}`, 'system:nodes')));
    await this.#step(rehome ? 'deploy/ is applied' : "HwameiStor's objects are known", () =>
      rehome ? deployAgents(controlPlane) : applyCustomResources(controlPlane),
    );
    return controlPlane;
  }

  async #joinNodes(controlPlane: ControlPlane): Promise<void> {
    const { directory } = this.#settings;
    const processes = new BackgroundProcesses(directory);
    await this.#step('all nodes are Ready', async () => {
      await Promise.all(this.#machines.map(({ name }) => processes.start(kubeletName(name), kubeletProgram(directory, name))));
      await controlPlane.withAdministrator((client) =>
        waitFor('every node is Ready', async () => {
          const nodes = await client.get<{ items: { status: { conditions?: { type: string; status: string }[] } }[] }>('/api/v1/nodes');
          const ready = nodes.items.filter(({ status }) => status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'));
          return ready.length === this.#machines.length;
        }),
      );
    });
  }

  async #startRehome(controlPlane: ControlPlane, state: LabState): Promise<void> {
    const { directory } = this.#settings;
    await Promise.all([
      this.#step('every agent reports', () => waitForAgents(controlPlane, this.#machines.length)),
      this.#step('the controller leads', async () => {
        await writeControllerKubeconfig(controlPlane, directory);
        await startController(controlPlane, directory, state.controllerEnvironment);
      }),
    ]);
  }

  #step<T>(what: string, step: () => Promise<T>): Promise<T> {
    this.#checkNotTakenDown();
    return this.#settings.steps.run(what, step);
  }

  #checkNotTakenDown(): void {
    const state = readState(this.#settings.directory);
    if (state?.startedBy.startTime !== thisProcess().startTime) throw new Error('the lab was taken down while it was coming up');
  }
}

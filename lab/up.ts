/** `lab up`: from whatever an earlier lab left to everything that answers. */
import { ControlPlane } from './cluster/control-plane.ts';
import { freePorts } from './cluster/ports.ts';
import { type ListenAddress, portChecks, programChecks } from './cluster/preflight.ts';
import { ensurePrograms } from './cluster/programs.ts';
import { somethingIsLeft, takeDown } from './down.ts';
import { type Drbd9, drbd9Check } from './drbd9.ts';
import { ensureImage, type NodeImage } from './image/index.ts';
import { createNetworks, HOST_MANAGEMENT_ADDRESS, type Machine, openMachines } from './machines/index.ts';
import { kubeletName, kubeletProgram, LISTENERS, PORTS } from './parts.ts';
import { hostChecks, machineChecks, preflight } from './preflight.ts';
import { BackgroundProcesses } from './processes.ts';
import type { Steps } from './progress.ts';
import { applyCustomResources, buildRehome, deployAgents, startController, waitForAgents, writeControllerKubeconfig } from './rehome.ts';
import { isOwn, LabExistsError, type LabState, readableState, readState, thisProcess, userOf, writeState } from './state.ts';
import { ensureTools } from './tools/index.ts';
import { ensurePool } from './volume/create.ts';
import { waitFor } from './wait.ts';

export interface UpSettings {
  readonly directory: string;
  readonly nodes: number;
  readonly rehome: boolean;
  readonly controllerEnvironment: Readonly<Record<string, string>>;
  readonly drbd9?: Drbd9;
  readonly owner: LabState['owner'];
  /** Where the caller is going to listen besides the lab's own processes. */
  readonly willListenOn: readonly ListenAddress[];
  readonly steps: Steps;
}

/** @throws PreflightError or LabExistsError before anything is changed; whatever else goes wrong, nothing is left. */
export async function bringUp(settings: UpSettings): Promise<LabState> {
  const { directory, steps } = settings;
  await prepareHost(settings);
  try {
    return await new Ascent(settings).run();
  } catch (error) {
    const state = readableState(directory);
    if (!state || isOwn(state)) await steps.run('something went wrong: taken down', () => takeDown(directory));
    throw error;
  }
}

/**
 * From a host that nobody has looked at to one that has everything and nothing of an earlier lab. What a killed run left takes up memory, disk and
 * ports: it goes before these are looked at, but not before all that it has no part in was found right.
 * @param actions for a test.
 */
export async function prepareHost(
  { directory, nodes, drbd9, willListenOn, steps }: Pick<UpSettings, 'directory' | 'nodes' | 'drbd9' | 'willListenOn' | 'steps'>,
  actions = { preflight, somethingIsLeft, takeDown, ensureTools },
): Promise<void> {
  refuseToReplace(directory);
  if (actions.somethingIsLeft(directory)) {
    await actions.preflight([...hostChecks(directory), ...programChecks()]);
    await steps.run('what an earlier lab left is removed', () => actions.takeDown(directory));
  }
  const modules = drbd9 ? [drbd9Check(drbd9)] : [];
  const listeners = [...LISTENERS, ...willListenOn];
  await actions.preflight([...machineChecks(nodes, directory), ...modules, ...programChecks(), ...portChecks(listeners)]);
  await actions.ensureTools(steps.say);
  // That may have taken minutes, in which somebody else was faster.
  refuseToReplace(directory);
}

function refuseToReplace(directory: string): void {
  const state = readState(directory);
  const user = state && userOf(state);
  if (user) throw new LabExistsError(`${user}; what takes it down: npm run lab -- down`);
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
    const { directory, nodes, rehome, controllerEnvironment, owner, steps } = this.#settings;
    const [etcdClient, etcdPeer] = (await freePorts(2)) as [number, number];
    const state: LabState = {
      phase: 'starting',
      startedBy: thisProcess(),
      owner,
      nodes,
      rehome,
      controllerEnvironment,
      programs: { controlPlaneDirectory: '', temporalDirectory: '' },
      ports: { etcdClient, etcdPeer, ...PORTS },
    };
    writeState(directory, state);

    const [imageOf, programs, build] = await Promise.all([
      this.#step("the nodes' system is at hand", () => this.#ensureImages()),
      this.#step('Kubernetes and Temporal are at hand', () => ensurePrograms(steps.say)),
      rehome ? this.#step('controller and agent are built', () => buildRehome(directory)) : undefined,
    ]);
    const started = { ...state, programs };
    this.#checkNotTakenDown();
    writeState(directory, started);

    await this.#step('networks stand', () => createNetworks(nodes));
    const [controlPlane] = await Promise.all([this.#startControlPlane(started), this.#startMachines(imageOf, build?.agentDisk)]);
    await this.#joinNodes(controlPlane);
    if (rehome) await this.#startRehome(controlPlane, started);

    const ready: LabState = { ...started, phase: 'ready' };
    this.#checkNotTakenDown();
    writeState(directory, ready);
    return ready;
  }

  /** One image for each DRBD that some node runs, one after the other: both are made of the same downloads. @returns that of a node. */
  async #ensureImages(): Promise<(node: string) => NodeImage> {
    const { steps, drbd9 } = this.#settings;
    const runsNine = (node: string): boolean => drbd9?.nodes.includes(node) ?? false;
    const own = this.#machines.every(({ name }) => runsNine(name)) ? undefined : await ensureImage(steps.say);
    const nine = drbd9 && (await ensureImage(steps.say, { drbdModulesDirectory: drbd9.modulesDirectory }));
    return (node) => (runsNine(node) ? nine : own)!;
  }

  async #startMachines(imageOf: (node: string) => NodeImage, agentDisk: string | undefined): Promise<void> {
    await this.#step(`${this.#machines.map(({ name }) => name).join(', ')} run`, () =>
      Promise.all(
        this.#machines.map(async (machine) => {
          await machine.start({ image: imageOf(machine.name), ...(agentDisk && { agentDisk }) });
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
    if (!isOwn(state)) throw new Error('the lab was taken down while it was coming up');
  }
}

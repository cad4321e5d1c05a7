/** Rehome in the lab: the agents as the pods that they are everywhere, the controller as a process of the host. */
import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { ControlPlane } from './cluster/index.ts';
import { run } from './command.ts';
import { makeAgentDisk } from './image/index.ts';
import { WEBHOOK } from './parts.ts';
import { BackgroundProcesses, type BackgroundProgram } from './processes.ts';
import { HopelessError, waitFor } from './wait.ts';

const REPOSITORY = join(import.meta.dirname, '..');
const NAMESPACE = 'rehome-system';
export const AGENT_DAEMON_SET = 'rehome-agent';
const CONTROLLER = 'rehome-controller';
const WEBHOOK_LISTEN = `${WEBHOOK.address}:${WEBHOOK.port}`;
/** Without compilers: an emulated processor has to translate what they make, which costs more than it saves. */
const AGENT_OPTIONS = ['--max-semi-space-size=1', '--no-opt', '--no-maglev', '--no-sparkplug'];
const AGENT_PROGRAM = `/opt/node/bin/node ${AGENT_OPTIONS.join(' ')} /opt/rehome/main.cjs`;
const COMPILE_CACHE = 'compile-cache';

type Environment = Readonly<Record<string, string>>;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

interface DaemonSet extends Manifest {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly AgentContainer[] } } };
}

interface WebhookConfiguration extends Manifest {
  readonly webhooks: readonly { readonly clientConfig: { readonly service?: { readonly path?: string }; readonly url?: string } }[];
}

interface AgentContainer {
  readonly command?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

/** Bundles both programs. @returns the file of the disk that carries the agent to the nodes. */
export async function buildRehome(directory: string): Promise<{ readonly agentDisk: string }> {
  await run(process.execPath, [join(REPOSITORY, 'worker', 'build.ts')], { timeoutSeconds: 300 });
  const agentDisk = join(directory, 'agent.squashfs');
  const agent = join(REPOSITORY, 'dist', 'agent');
  await compileAgent(agent);
  await makeAgentDisk(agent, agentDisk);
  // A later build must not change the program of a lab that is up.
  cpSync(join(REPOSITORY, 'dist', 'controller'), join(directory, 'controller'), { recursive: true });
  return { agentDisk };
}

/** Leaves beside the program what it compiles to: a third of an agent's start on an emulated processor. */
async function compileAgent(agent: string): Promise<void> {
  const environment = { NODE_NAME: '', NODE_COMPILE_CACHE: join(agent, COMPILE_CACHE), NODE_COMPILE_CACHE_PORTABLE: '1' };
  // Everything is loaded when it finds that it has no configuration, and ends.
  await run(process.execPath, [...AGENT_OPTIONS, join(agent, 'main.cjs')], { environment, expectedExitCodes: [2] });
}

/** HwameiStor's objects can be made, and nothing else of Rehome. */
export async function applyCustomResources(controlPlane: ControlPlane): Promise<void> {
  await kubectl(controlPlane, ['apply', '--server-side', '-f', join(REPOSITORY, 'deploy', 'crds')]);
  const wait = ['wait', '--for=condition=Established', '--timeout=30s', '-f', join(REPOSITORY, 'deploy', 'crds')];
  await kubectl(controlPlane, wait);
}

/** Applies `deploy/` as it is, but for the controller, which is a process here, and for what a node without images needs. */
export async function deployAgents(controlPlane: ControlPlane): Promise<void> {
  const { stdout } = await kubectl(controlPlane, ['kustomize', join(REPOSITORY, 'deploy')]);
  const manifests = parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
  const applied = forLab(manifests, controlPlane.temporalAddress);
  await kubectl(controlPlane, ['apply', '--server-side', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: applied }));
  const key = `--from-literal=key=${randomBytes(32).toString('base64')}`;
  await kubectl(controlPlane, ['--namespace', NAMESPACE, 'create', 'secret', 'generic', 'rehome-cluster-key', key]);
}

/** Pure. @returns the manifests without the controller's workload, its address and the agents' command and addresses replaced. */
export function forLab(manifests: readonly Manifest[], temporalAddress: string): Manifest[] {
  const isControllerWorkload = ({ kind }: Manifest): boolean => ['Deployment', 'PodDisruptionBudget', 'Service'].includes(kind);
  return manifests
    .filter((manifest) => !isControllerWorkload(manifest))
    .map((manifest) => {
      if (manifest.kind === 'MutatingWebhookConfiguration') return withLabAddress(manifest as WebhookConfiguration);
      return manifest.kind === 'DaemonSet' ? withLabContainers(manifest as DaemonSet, temporalAddress) : manifest;
    });
}

function withLabAddress(configuration: WebhookConfiguration): WebhookConfiguration {
  const webhooks = configuration.webhooks.map((webhook) => {
    const url = `https://${WEBHOOK_LISTEN}${webhook.clientConfig.service?.path ?? ''}`;
    return { ...webhook, clientConfig: { url } };
  });
  return { ...configuration, webhooks };
}

function withLabContainers(daemonSet: DaemonSet, temporalAddress: string): DaemonSet {
  const { spec } = daemonSet.spec.template;
  const containers = spec.containers.map((container) => ({
    ...container,
    // Mirrors have a network of their own, in which node n1 is number 1.
    command: ['sh', '-c', `export STORAGE_ADDRESS=10.77.0.$(echo $NODE_NAME | tr -d n); exec ${AGENT_PROGRAM}`],
    env: [
      ...(container.env ?? []).filter(({ name }) => name !== 'TEMPORAL_ADDRESS'),
      { name: 'TEMPORAL_ADDRESS', value: temporalAddress },
      // An emulated processor that compares blocks at full rate has no time left for whoever writes.
      { name: 'REHOME_ONLINE_VERIFY_RATE', value: '8Mi' },
      { name: 'NODE_COMPILE_CACHE', value: `/opt/rehome/${COMPILE_CACHE}` },
      { name: 'NODE_COMPILE_CACHE_PORTABLE', value: '1' },
    ],
  }));
  return { ...daemonSet, spec: { ...daemonSet.spec, template: { ...daemonSet.spec.template, spec: { ...spec, containers } } } };
}

/** Returns when every agent has said what its node has: a pod that runs may still be loading its program. */
export async function waitForAgents(controlPlane: ControlPlane, nodes: number): Promise<void> {
  const states = ['get', 'localstoragenodes', '-o', 'jsonpath={.items[*].status.state}'];
  await waitFor(
    'every agent reports its node',
    async () => (await kubectl(controlPlane, states)).stdout.split(' ').filter((state) => state === 'Ready').length === nodes,
    { timeoutSeconds: 120, intervalMs: 500 },
  );
}

/** A kubeconfig of the controller's own service account: it has the rights of the real one, no more. */
export async function writeControllerKubeconfig(controlPlane: ControlPlane, directory: string): Promise<void> {
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${CONTROLLER}/token`;
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 7 * 24 * 3600 } };
  const { status } = await controlPlane.withAdministrator((client) => client.create<{ status: { token: string } }>(path, request));
  const administrator = JSON.parse(await readFile(controlPlane.kubeconfig, 'utf8'));
  const kubeconfig = { ...administrator, users: [{ name: 'user', user: { token: status.token } }] };
  await writeFile(controllerKubeconfig(directory), JSON.stringify(kubeconfig, null, 2), { mode: 0o600 });
}

/** Starts the controller's process; returns when it leads: after one that was killed that takes the 15 s for which a Lease holds. */
export async function startController(controlPlane: ControlPlane, directory: string, environment: Environment): Promise<void> {
  const processes = new BackgroundProcesses(directory);
  // Each process has an identity of its own, so whom the Lease names beforehand is not the one that is to lead.
  const before = processes.isRunning('controller') ? '' : await leaseHolder(controlPlane);
  await processes.start('controller', controllerProgram(controlPlane, directory, environment));
  await waitFor(
    `the controller holds its Lease (see ${processes.logFile('controller')})`,
    async () => {
      if (!processes.isRunning('controller')) throw new HopelessError(`the controller has ended: see ${processes.logFile('controller')}`);
      const holder = await leaseHolder(controlPlane);
      return holder !== '' && holder !== before;
    },
    { timeoutSeconds: 60, intervalMs: 300 },
  );
}

/** @returns the identity; empty where there is no Lease or nobody holds it. */
async function leaseHolder(controlPlane: ControlPlane): Promise<string> {
  const lease = ['get', 'lease', CONTROLLER, '--ignore-not-found', '-o', 'jsonpath={.spec.holderIdentity}'];
  return (await kubectl(controlPlane, ['--namespace', NAMESPACE, ...lease])).stdout.trim();
}

function controllerProgram(controlPlane: ControlPlane, directory: string, environment: Environment): BackgroundProgram {
  return {
    program: process.execPath,
    args: ['--max-semi-space-size=2', '--optimize-for-size', join(directory, 'controller', 'main.cjs')],
    environment: {
      KUBECONFIG: controllerKubeconfig(directory),
      REHOME_NAMESPACE: NAMESPACE,
      TEMPORAL_ADDRESS: controlPlane.temporalAddress,
      MALLOC_ARENA_MAX: '2',
      REHOME_WEBHOOK_LISTEN: WEBHOOK_LISTEN,
      ...environment,
    },
  };
}

function controllerKubeconfig(directory: string): string {
  return join(directory, 'kubeconfigs', 'controller');
}

function kubectl(controlPlane: ControlPlane, args: readonly string[], stdin?: string): ReturnType<typeof run> {
  return run(controlPlane.kubectl, ['--kubeconfig', controlPlane.kubeconfig, ...args], { timeoutSeconds: 120, ...(stdin && { stdin }) });
}

/**
 * etcd, kube-apiserver, kube-controller-manager, kube-scheduler and Temporal's development server: background processes on one address, each of
 * which may be killed and started again on the data it had.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { run } from '../command.ts';
import { BackgroundProcesses } from '../processes.ts';
import { HopelessError, waitFor } from '../wait.ts';
import { ApiClient } from './api-client.ts';
import { type Certificate, CertificateAuthority, writeKubeconfig } from './certificates.ts';
import {
  COMPONENTS,
  type Component,
  type ControlPlaneSettings,
  componentProgram,
  kubeconfigFile,
  pkiDirectory,
  temporalDatabase,
  temporalRelayProgram,
} from './components.ts';
import { freePorts } from './ports.ts';
import { ensurePrograms } from './programs.ts';

const TEMPORAL_RELAY = 'temporal-relay';

export class ControlPlane {
  readonly #settings: ControlPlaneSettings;
  readonly #processes: BackgroundProcesses;

  /** Changes nothing: for one that was made before. */
  constructor(settings: ControlPlaneSettings) {
    this.#settings = settings;
    this.#processes = new BackgroundProcesses(settings.directory);
  }

  /** Makes certificates and kubeconfigs in an empty directory, and starts everything; returns when it answers. */
  static async create(settings: ControlPlaneSettings): Promise<ControlPlane> {
    const controlPlane = new ControlPlane(settings);
    await controlPlane.#makeCredentials();
    try {
      await Promise.all([controlPlane.#startKubernetes(), controlPlane.start('temporal')]);
    } catch (error) {
      await controlPlane.stop();
      throw error;
    }
    return controlPlane;
  }

  /** File, of a cluster administrator. */
  get kubeconfig(): string {
    return kubeconfigFile(this.#settings, 'admin');
  }

  get apiserverUrl(): string {
    return `https://${this.#settings.address}:${this.#settings.ports.apiserver}`;
  }

  /** Host and port of the frontend. */
  get temporalAddress(): string {
    return `${this.#settings.address}:${this.#settings.ports.temporal}`;
  }

  get temporalUiUrl(): string {
    return `http://127.0.0.1:${this.#settings.ports.temporalUi}`;
  }

  /** Program file. */
  get kubectl(): string {
    return join(this.#settings.programs.controlPlaneDirectory, 'kubectl');
  }

  /** Program file of the Temporal CLI, which is the development server too. */
  get temporal(): string {
    return join(this.#settings.programs.temporalDirectory, 'temporal');
  }

  /** Starts a component on the data it had; returns when it answers. */
  async start(component: Component): Promise<void> {
    await this.#processes.start(component, componentProgram(component, this.#settings));
    if (component === 'temporal' && this.#settings.address !== '127.0.0.1') {
      await this.#processes.start(TEMPORAL_RELAY, temporalRelayProgram(this.#settings));
    }
    await waitFor(`${component} answers (see ${this.#processes.logFile(component)})`, () => this.#answers(component), {
      timeoutSeconds: 60,
    });
  }

  /** SIGKILL. */
  async kill(component: Component): Promise<void> {
    await this.#processes.kill(component);
  }

  /** Temporal's server, which was killed, has never heard of anything when it is started again. */
  async loseTemporalDatabase(): Promise<void> {
    const file = temporalDatabase(this.#settings.directory);
    await Promise.all(['', '-wal', '-shm', '-journal'].map((suffix) => rm(`${file}${suffix}`, { force: true })));
  }

  /** Ends all of it at once: the data is not needed any more. */
  async stop(): Promise<void> {
    await Promise.all([...COMPONENTS, TEMPORAL_RELAY].map((name) => this.#processes.kill(name)));
  }

  /** A kubeconfig for one more user of the cluster. @returns its file. */
  async addUser(name: string, commonName: string, organisation?: string): Promise<string> {
    const authority = CertificateAuthority.open(pkiDirectory(this.#settings));
    const certificate = await authority.issue(name, { commonName, ...(organisation && { organisation }) });
    return this.#writeKubeconfig(name, authority, certificate);
  }

  async #writeKubeconfig(user: string, authority: Certificate, certificate: Certificate): Promise<string> {
    const file = kubeconfigFile(this.#settings, user);
    await writeKubeconfig(file, this.apiserverUrl, authority, certificate);
    return file;
  }

  async #makeCredentials(): Promise<void> {
    await mkdir(join(this.#settings.directory, 'kubeconfigs'), { recursive: true, mode: 0o700 });
    const authority = await CertificateAuthority.create(pkiDirectory(this.#settings));
    await Promise.all([
      authority.issue('apiserver', { commonName: 'kube-apiserver', addresses: [...new Set([this.#settings.address, '127.0.0.1'])] }),
      // Its key signs service account tokens.
      authority.issue('service-accounts', { commonName: 'service-accounts' }),
      this.addUser('admin', 'admin', 'system:masters'),
      this.addUser('controller-manager', 'system:kube-controller-manager'),
      this.addUser('scheduler', 'system:kube-scheduler'),
    ]);
  }

  async #startKubernetes(): Promise<void> {
    await this.start('etcd');
    await this.start('apiserver');
    await Promise.all([this.start('controller-manager'), this.start('scheduler')]);
  }

  async #answers(component: Component): Promise<boolean> {
    if (!this.#processes.isRunning(component)) throw new HopelessError(`${component} has ended: see ${this.#processes.logFile(component)}`);
    switch (component) {
      case 'etcd':
        return (await request(`http://127.0.0.1:${this.#settings.ports.etcdClient}/health`)).statusCode === 200;
      case 'apiserver':
        return this.withAdministrator((client) => client.isReady());
      case 'controller-manager':
        // Without it no pod can be created. A controller manager that is started again has nothing to show for itself.
        return this.withAdministrator(
          async (client) => (await client.find('/api/v1/namespaces/default/serviceaccounts/default')) !== undefined,
        );
      case 'scheduler':
        return true;
      case 'temporal':
        await run(this.temporal, ['operator', 'cluster', 'health', '--address', this.temporalAddress]);
        return true;
    }
  }

  /** Lends a client with an administrator's rights. */
  async withAdministrator<T>(use: (client: ApiClient) => Promise<T>): Promise<T> {
    const client = new ApiClient(this.kubeconfig);
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  }
}

/**
 * A control plane alone, without nodes, for tests against the real API server. Several may run at once, each in its own directory.
 * @param directory is the caller's to remove after `stop`.
 */
export async function startControlPlane({ directory }: { readonly directory: string }): Promise<ControlPlane> {
  const [programs, [etcdClient, etcdPeer, apiserver, temporal, temporalUi]] = await Promise.all([
    ensurePrograms((message) => console.error(message)),
    freePorts(5),
  ]);
  const ports = { etcdClient: etcdClient!, etcdPeer: etcdPeer!, apiserver: apiserver!, temporal: temporal!, temporalUi: temporalUi! };
  return ControlPlane.create({ directory, address: '127.0.0.1', ports, programs, controllerManagerRequestsPerSecond: 200 });
}

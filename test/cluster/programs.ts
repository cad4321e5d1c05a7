/** Controller and agent as what users run: the bundles, as processes, under their own service accounts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, vi } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { BUILT } from './global-setup.ts';
import { type MigrationWorld, NAMESPACE } from './migration-world.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const STARTUP_MILLISECONDS = 30_000;

/** A line of the program's log; others are kept as `{ msg }`. */
export interface LogLine {
  readonly msg: string;
  readonly level?: string;
  readonly [field: string]: unknown;
}

export class RunningProgram {
  readonly lines: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #exitCode: number | null | undefined;

  constructor(file: string, environment: Readonly<Record<string, string>>, nodeOptions: readonly string[]) {
    this.#child = spawn(process.execPath, [...nodeOptions, file], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      createInterface(stream).on('line', (line) => this.lines.push(parseLine(line)));
    this.#exited = once(this.#child, 'close').then(([code]) => {
      this.#exitCode = code as number | null;
      return this.#exitCode;
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Waits for a line whose message contains the text. @returns the first one. */
  async logged(text: string, timeout = STARTUP_MILLISECONDS): Promise<LogLine> {
    return vi.waitFor(
      () => {
        const found = this.lines.find(({ msg }) => msg.includes(text));
        if (!found)
          throw new Error(`no line with "${text}"${this.#exitCode === undefined ? '' : `, ended with ${this.#exitCode}`}:\n${this.tail()}`);
        return found;
      },
      { timeout, interval: 20 },
    );
  }

  tail(): string {
    return this.lines
      .slice(-15)
      .map((line) => JSON.stringify(line))
      .join('\n');
  }

  /** @returns the exit code; null: ended by a signal. */
  exited(): Promise<number | null> {
    return this.#exited;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(signal);
    return this.#exited;
  }

  /** Resident memory now, and the most there ever was. */
  residentBytes(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    return { now: field('VmRSS'), peak: field('VmHWM') };
  }
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: line };
  }
}

type Program = 'controller' | 'agent';

/** How the program's manifest starts Node.js, and what it tells the C library. */
function deployed(program: Program): { readonly nodeOptions: readonly string[]; readonly memory: Readonly<Record<string, string>> } {
  const [workload] = parseAllDocuments(readFileSync(join(ROOT, 'deploy', `${program}.yaml`), 'utf8')).map((document) => document.toJS());
  const { command, env } = workload.spec.template.spec.containers[0] as { command: string[]; env: { name: string; value: string }[] };
  const memory = env.filter(({ name }) => name.startsWith('MALLOC_')).map(({ name, value }) => [name, value]);
  return { nodeOptions: command.slice(1, -1), memory: Object.fromEntries(memory) };
}

/** The bundles, and in a folder of its own what they need to run against the cluster of a test. */
export class Programs {
  readonly #directory: string;
  readonly #world: MigrationWorld;
  readonly #started: RunningProgram[] = [];
  #manifests = 0;

  private constructor(directory: string, world: MigrationWorld) {
    this.#directory = directory;
    this.#world = world;
  }

  static async open(world: MigrationWorld): Promise<Programs> {
    const programs = new Programs(await mkdtemp(join(tmpdir(), 'rehome-programs-')), world);
    await programs.#apply('controller-rbac.yaml', 'agent-rbac.yaml', 'agent-admission-policy.yaml');
    await writeFile(join(programs.#directory, 'cluster-key'), 'a key for tests, long enough');
    return programs;
  }

  /** @returns what it printed. */
  async kubectl(...args: readonly string[]): Promise<string> {
    const child = spawn(this.#world.cluster.controlPlane.kubectl, args, {
      env: { ...process.env, KUBECONFIG: this.#world.cluster.controlPlane.kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const printed: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => printed.push(chunk));
    const [code] = await once(child, 'close');
    expect(code, `kubectl ${args.join(' ')}`).toBe(0);
    return Buffer.concat(printed).toString('utf8').trim();
  }

  /** `kubectl create` or `apply` of a manifest in a file, as people do it. */
  async kubectlManifest(command: 'create' | 'apply', object: object): Promise<void> {
    const file = join(this.#directory, `manifest-${++this.#manifests}.yaml`);
    await writeFile(file, stringify(object));
    await this.kubectl(command, '-f', file);
  }

  /** Under its own service account. */
  async controller(environment: Readonly<Record<string, string>> = {}): Promise<RunningProgram> {
    return this.run('controller', { ...(await this.controllerEnvironment()), ...environment });
  }

  async controllerEnvironment(): Promise<Readonly<Record<string, string>>> {
    const token = await this.kubectl('create', 'token', 'rehome-controller', '-n', NAMESPACE);
    return { KUBECONFIG: await this.#kubeconfig('controller', token), ...this.#common() };
  }

  /** Under the agents' service account, with a token that is bound to a pod on the node. */
  async agent(node: string, environment: Readonly<Record<string, string>> = {}): Promise<RunningProgram> {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: NAMESPACE, name: `agent-${node}` },
      spec: { nodeName: node, serviceAccountName: 'rehome-agent', containers: [{ name: 'agent', image: 'none' }] },
    };
    const file = join(this.#directory, `agent-${node}.yaml`);
    await writeFile(file, stringify(pod));
    await this.kubectl('apply', '-f', file);
    const token = await this.kubectl(
      'create',
      'token',
      'rehome-agent',
      '-n',
      NAMESPACE,
      '--bound-object-kind=Pod',
      `--bound-object-name=agent-${node}`,
    );
    const settings = {
      KUBECONFIG: await this.#kubeconfig(`agent-${node}`, token),
      NODE_NAME: node,
      STORAGE_ADDRESS: '10.77.0.1',
      CLUSTER_KEY_FILE: join(this.#directory, 'cluster-key'),
      STATE_DIR: join(this.#directory, `state-${node}`),
    };
    return this.run('agent', { ...settings, ...this.#common(), ...environment });
  }

  /** With this environment and no other, but for what its manifest says of memory. */
  run(program: Program, environment: Readonly<Record<string, string>>): RunningProgram {
    const { nodeOptions, memory } = deployed(program);
    const running = new RunningProgram(join(BUILT, program, 'main.cjs'), { ...memory, ...environment }, nodeOptions);
    this.#started.push(running);
    return running;
  }

  /** Ends what a test left running, so that no Lease is left held. */
  async stopAll(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((program) => program.stop()));
  }

  async remove(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((program) => program.stop('SIGKILL')));
    await rm(this.#directory, { recursive: true });
  }

  #common(): Readonly<Record<string, string>> {
    return { TEMPORAL_ADDRESS: this.#world.cluster.controlPlane.temporalAddress, REHOME_NAMESPACE: NAMESPACE };
  }

  async #apply(...files: readonly string[]): Promise<void> {
    const documents = await Promise.all(files.map((file) => readFile(join(ROOT, 'deploy', file), 'utf8')));
    const all = join(this.#directory, 'deploy.yaml');
    await writeFile(all, documents.flatMap((text) => parseAllDocuments(text).map(String)).join('\n---\n'));
    await this.kubectl('apply', '-f', all);
  }

  async #kubeconfig(user: string, token: string): Promise<string> {
    const file = join(this.#directory, `${user}.kubeconfig`);
    const administrator = parseAllDocuments(await readFile(this.#world.cluster.controlPlane.kubeconfig, 'utf8'))[0]!.toJS() as {
      users: unknown;
    };
    const [{ name }] = administrator.users as [{ name: string }];
    await writeFile(file, stringify({ ...administrator, users: [{ name, user: { token } }] }));
    return file;
  }
}

/** `npm run lab -- COMMAND`: brings the lab up and down, and does things to it by name. */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { CommandError } from './command.ts';
import { explainIfAsked } from './command-line.ts';
import { Lab, takeDownOnInterrupt, type VolumeRequest } from './index.ts';
import type { Network } from './machines/index.ts';
import { shellQuote } from './machines/ssh.ts';
import { Steps } from './progress.ts';
import { parseUpArguments } from './up-arguments.ts';
import { UsageError } from './usage-error.ts';

const USAGE = `usage: npm run lab -- COMMAND
  up [--nodes N] [--no-rehome] [--drbd-modules DIR [--drbd9-nodes n1,n2]]
                                                        everything, in the background; returns when ready. With DRBD 9 on these nodes, or on all
  env                                                   shell exports: eval "$(npm run --silent lab -- env)"
  status                                                nodes, volumes, processes, addresses
  volume create NAME --node n1[,n2] --size 256Mi [--fs ext4|xfs|block] [--thin] [--group POD] [--namespace NS] [--no-affinity]
                                                        two nodes: DRBD keeps it on both
  volume delete NAME [--namespace NS]
  exec NODE COMMAND...                                  runs a command on a node
  logs [-f] controller|agent-n1|kubelet-n1|apiserver|temporal|...
  kill NODE|controller|agent-NODE|kubelet-NODE|temporal|apiserver|...
  start (the same names)
  cut NODE [storage|management|both]
  heal NODE
  rate NODE 80mbit|off
  pressure NODE [NAMESPACE/]POD                         its kubelet evicts the pod, and leaves its volumes mounted for a while
  down [--purge]
  --help                                                this text`;

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<number | undefined> | Promise<void>>> = {
  up,
  env: async () => {
    for (const [name, value] of Object.entries(Lab.open().environment())) console.log(`export ${name}=${shellQuote([value])}`);
  },
  status,
  volume,
  exec: async ([node, ...command]) => runOnNode(required(node, 'NODE'), required(command.length ? command : undefined, 'COMMAND')),
  logs,
  kill: async ([name]) => Lab.open().kill(required(name, 'a name')),
  start: async ([name]) => Lab.open().start(required(name, 'a name')),
  cut: async ([node, network = 'storage']) => Lab.open().machine(required(node, 'NODE')).cut(networkNamed(network)),
  heal: async ([node]) => Lab.open().machine(required(node, 'NODE')).heal(),
  rate: async ([node, limit]) => Lab.open().machine(required(node, 'NODE')).rate(required(limit, '80mbit|off')),
  pressure: async ([node, pod]) => Lab.open().pressure(required(node, 'NODE'), required(pod, 'POD')),
  down: async (args) => {
    const { values } = parseArgs({ args, options: { purge: { type: 'boolean', default: false } } });
    await Lab.down(values);
  },
};

async function up(args: string[]): Promise<void> {
  const options = parseUpArguments(args);
  const steps = new Steps();
  takeDownOnInterrupt(steps);
  const lab = await Lab.up({ ...options, owner: 'person', steps });
  steps.say(`ready. Temporal's Web UI: ${lab.temporalUiUrl}; for kubectl and temporal: eval "$(npm run --silent lab -- env)"`);
}

async function status(): Promise<void> {
  const lab = Lab.open();
  console.log(`Temporal   ${lab.temporalAddress}, Web UI ${lab.temporalUiUrl}\nKUBECONFIG ${lab.kubeconfig}\n`);
  for (const { name, running, pid } of lab.processes())
    console.log(`${name.padEnd(20)} ${running ? `running, pid ${pid}` : 'not running'}`);
  for (const machine of lab.machines)
    console.log(`${machine.name.padEnd(20)} ${machine.managementAddress}, storage ${machine.storageAddress}`);
  for (const list of ['nodes', 'localvolumes,localvolumereplicas']) {
    console.log(`\n${(await lab.kubectl(['get', list])).stdout.trimEnd()}`);
  }
}

async function volume([action, ...args]: string[]): Promise<void> {
  const options = {
    node: { type: 'string' },
    size: { type: 'string' },
    fs: { type: 'string', default: 'ext4' },
    thin: { type: 'boolean', default: false },
    group: { type: 'string' },
    namespace: { type: 'string', default: 'default' },
    'no-affinity': { type: 'boolean', default: false },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const name = required(positionals[0], 'NAME');
  if (action === 'delete') return Lab.open().deleteVolume(name, values.namespace);
  if (action !== 'create') throw new UsageError(`volume ${action ?? ''}: create or delete`);
  if (!['ext4', 'xfs', 'block'].includes(values.fs)) throw new UsageError(`--fs ${values.fs}: ext4, xfs or block`);
  await Lab.open().createVolume({
    name,
    node: required(values.node, '--node').split(','),
    size: required(values.size, '--size'),
    fileSystem: values.fs as NonNullable<VolumeRequest['fileSystem']>,
    thin: values.thin,
    namespace: values.namespace,
    affinity: values['no-affinity'] ? 'none' : 'hostname',
    ...(values.group && { group: values.group }),
  });
}

async function logs(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: { follow: { type: 'boolean', short: 'f', default: false } },
    allowPositionals: true,
  });
  const name = required(positionals[0], 'a name');
  const lab = Lab.open();
  const node = /^agent-(n\d+)$/.exec(name)?.[1];
  if (node) return runOnNode(node, [await lab.agentLogCommand(node, values.follow)]);
  return ended(spawn('tail', ['-n', '+1', ...(values.follow ? ['-F'] : []), lab.logFile(name)], { stdio: 'inherit' }));
}

/** One argument is a script of the node's shell; several are a command and its arguments. */
async function runOnNode(node: string, command: readonly string[]): Promise<number> {
  const script = command.length === 1 ? command[0]! : shellQuote(command);
  const session = Lab.open().machine(node).spawn(script);
  session.stdout?.pipe(process.stdout);
  session.stderr?.pipe(process.stderr);
  if (session.stdin) process.stdin.pipe(session.stdin);
  return ended(session);
}

function ended(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => resolve(code ?? 1));
  });
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new UsageError(`${what} is missing`);
  return value;
}

function networkNamed(name: string): Network | 'both' {
  if (['storage', 'management', 'both'].includes(name)) return name as Network | 'both';
  throw new UsageError(`${name}: storage, management or both`);
}

try {
  const [name = '', ...args] = process.argv.slice(2);
  explainIfAsked([name], USAGE);
  const command = COMMANDS[name];
  if (!command) throw new UsageError(name ? `no command is called ${name}` : 'which command?');
  process.exit((await command(args)) ?? 0);
} catch (error) {
  const isUsage = error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS');
  const { message } = error as Error;
  console.error(isUsage ? `${message}\n${USAGE}` : error instanceof CommandError ? message : `lab: ${message}`);
  process.exit(isUsage ? 2 : 1);
}

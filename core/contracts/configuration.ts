/**
 * What controller and agent are told by their environment. Each entry point parses it once, before anything else, and passes the result on.
 *
 * An empty variable counts as one that is not set: it is what a template leaves where a value was not given.
 */
import { z } from 'zod';
import { DEFAULT_SYNC_SETTINGS, SYNC_SETTING_LIMITS, type SyncSettings } from './sync-settings.ts';

/** First and last, both included. */
export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

/** Where a test makes the process die: before or after a step, see worker/faults.ts. */
export interface FaultPoint {
  readonly moment: 'before' | 'after';
  readonly step: string;
}

/** The environment does not say what a process needs to know. The message has one line for each variable: its name, its value, the remedy. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `<first>-<last>`, not beyond `limit`. */
const range = (limit: number) =>
  z
    .string()
    .regex(/^\d+-\d+$/, 'not <first>-<last>')
    .transform((text): NumberRange => {
      const [first = 0, last = 0] = text.split('-').map(Number);
      return { first, last };
    })
    .refine(({ first, last }) => first <= last, 'it ends before it begins')
    .refine(({ last }) => last <= limit, `it goes beyond ${limit}`);

/** Names of volume groups are LVM's: letters, digits, `+ _ . -`, not beginning with a hyphen (lvm(8)). */
const volumeGroups = z
  .string()
  .transform((text) => text.split(',').map((name) => name.trim()))
  .pipe(z.array(z.string().regex(/^[A-Za-z0-9+_.][A-Za-z0-9+_.-]*$/, 'not a name of a volume group')));

const faultPoints = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(z.string().regex(/^crash-(before|after):[\w.]+$/, 'not crash-before:<step> or crash-after:<step>')))
  .transform((points) =>
    points.map(
      (point): FaultPoint => ({
        moment: point.startsWith('crash-before:') ? 'before' : 'after',
        step: point.slice(point.indexOf(':') + 1),
      }),
    ),
  );

/** A name as Kubernetes gives its nodes and namespaces (RFC 1123, with dots for nodes). */
const objectName = z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'not a name that Kubernetes allows');
const absolutePath = z.string().startsWith('/', 'not an absolute path');

const count = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, 'not a number from 1 to 9999')
  .transform(Number);

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** In seconds. */
const duration = z
  .string()
  .regex(/^\d{1,4}[smhd]$/, 'not a number of at most four digits and s, m, h or d')
  .transform((text) => Number.parseInt(text, 10) * SECONDS[text.slice(-1)]!);

/** An opening of a migration that outlived its run finds by an ended one that the volume has moved, so these stay for as long as a step may take. */
const retentionSeconds = duration.refine((seconds) => seconds >= 60, 'less than a minute');

/** `port` or `address:port`. */
const listenAddress = z
  .string()
  .regex(/^([0-9a-zA-Z.-]+:)?\d{1,5}$/, 'not port or address:port')
  .transform((text) => {
    const [port = '', host] = text.split(':').reverse();
    return { host, port: Number(port) };
  })
  .refine(({ port }) => port > 0 && port <= 65_535, 'not a port');

const UNITS: Readonly<Record<string, number>> = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** Bytes, plain or with one of Kubernetes' binary suffixes. */
const syncSetting = (setting: keyof SyncSettings) => {
  const [first, last] = SYNC_SETTING_LIMITS[setting];
  return z
    .string()
    .regex(/^\d+(Ki|Mi|Gi)?$/, 'not a number of bytes')
    .transform((text) => Number.parseInt(text, 10) * UNITS[text.replace(/\d+/, '')]!)
    .refine((bytes) => bytes >= first && bytes <= last, `not within ${first} to ${last}`)
    .default(DEFAULT_SYNC_SETTINGS[setting]);
};

const common = {
  REHOME_NAMESPACE: objectName.default('rehome-system').describe("the namespace of Rehome's pods and Leases, for example rehome-system"),
  TEMPORAL_ADDRESS: z
    .string()
    .regex(/^[^\s:/]+:\d{1,5}$/, 'not host:port')
    .describe("host:port of Temporal's frontend, for example temporal-frontend.temporal:7233"),
  TEMPORAL_NAMESPACE: z.string().default('default').describe('the Temporal namespace, for example default'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
    .default('info')
    .describe('trace, debug, info, warn, error or fatal'),
  KUBECONFIG: absolutePath.optional().describe('the path of a kubeconfig file, or leave it unset inside a cluster'),
  REHOME_FAULTS: faultPoints
    .default([])
    .describe('fault points separated by commas, for example crash-after:switchObjects.delete, or leave it unset'),
};

const controllerVariables = z.object({
  ...common,
  TEMPORAL_TASK_QUEUE: z
    .string()
    .default('rehome-controller')
    .describe("the task queue of Rehome's workflows, for example rehome-controller"),
  REHOME_AGENTS: z.literal('own').default('own').describe("own: Rehome's agents look after the nodes' objects"),
  REHOME_SYNCS_PER_NODE: count.default(2).describe('the number of syncs that a node takes part in at once, for example 2'),
  REHOME_SYNCS_PER_CLUSTER: count.default(10).describe('the number of syncs that run at once in the cluster, for example 10'),
  REHOME_EVICTION_DELAY: duration
    .default(0)
    .describe('how long a node keeps its volumes once it is cordoned, in case it is only restarted, for example 5m, or 0s'),
  REHOME_RETENTION: retentionSeconds
    .default(3600)
    .describe('how long a LocalVolumeMigrate stays once it has ended, at least a minute, for example 1h'),
  REHOME_WEBHOOK_LISTEN: listenAddress
    .default({ host: undefined, port: 9443 })
    .describe('where the API server asks about new pods, as port or address:port, for example 9443'),
  REHOME_HASH_CHECK: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .describe('true (hash both devices whole before a PersistentVolume is changed) or false'),
});

const agentVariables = z.object({
  ...common,
  NODE_NAME: objectName.describe('the name of the Kubernetes node this agent runs on (spec.nodeName of its pod)'),
  STORAGE_ADDRESS: z.ipv4().describe("this node's IPv4 address in the network that mirrors use, for example 10.0.0.11"),
  POOLS: volumeGroups.optional().describe('volume groups separated by commas, or leave it unset for all named LocalStorage_Pool…'),
  // Minors are 20 bits wide. The default stays clear of HwameiStor's (43001 and up) and of hand-made ones (from 0).
  DRBD_MINOR_RANGE: range(2 ** 20 - 1)
    .default({ first: 20_000, last: 20_999 })
    .describe('minors for mirrors as <first>-<last>, for example 20000-20999'),
  // Below Linux's ephemeral ports (32768 and up) and away from DRBD's customary 7788 and up.
  DRBD_PORT_RANGE: range(65_535)
    .default({ first: 20_000, last: 20_999 })
    .describe('TCP ports for mirrors as <first>-<last>, for example 20000-20999'),
  REHOME_SYNC_MAX_RATE: syncSetting('maxRateBytesPerSecond').describe('the most that a sync takes in bytes per second, for example 100Mi'),
  REHOME_SYNC_MIN_RATE: syncSetting('minRateBytesPerSecond').describe(
    'the least that a sync takes beside applications in bytes per second, for example 10Mi',
  ),
  REHOME_SYNC_FILL_TARGET: syncSetting('fillTargetBytes').describe('the bytes of a sync that are on their way at once, for example 10Mi'),
  REHOME_SYNC_BUFFERS: syncSetting('bufferBytes').describe("the bytes of memory for a mirror's buffers, for example 32Mi"),
  REHOME_ONLINE_MIN_RATE: syncSetting('onlineMinRateBytesPerSecond').describe(
    'the least that a sync takes of a volume that is used meanwhile in bytes per second, for example 2Mi: less than the network can do',
  ),
  REHOME_ONLINE_VERIFY_RATE: syncSetting('onlineVerifyRateBytesPerSecond').describe(
    'the most that a verify beside an application takes in bytes per second, for example 64Mi',
  ),
  REHOME_SYNC_SOCKET_BUFFER: syncSetting('socketBufferBytes').describe(
    "the bytes of a mirror's TCP buffers in each direction, for example 4Mi, or 0 for the kernel's own choice",
  ),
  CLUSTER_KEY_FILE: absolutePath
    .default('/etc/rehome/cluster-key/key')
    .describe('the absolute path of the key that all agents share, mounted from Secret rehome-cluster-key'),
  STATE_DIR: absolutePath.default('/var/lib/rehome').describe('an absolute path that outlives a reboot, for example /var/lib/rehome'),
});

/** @throws {ConfigurationError} */
export function parseControllerConfiguration(environment: Environment) {
  const variables = parse(controllerVariables, environment);
  return {
    ...commonConfiguration(variables),
    taskQueue: variables.TEMPORAL_TASK_QUEUE,
    agents: variables.REHOME_AGENTS,
    syncLimits: { perNode: variables.REHOME_SYNCS_PER_NODE, perCluster: variables.REHOME_SYNCS_PER_CLUSTER },
    evictionDelaySeconds: variables.REHOME_EVICTION_DELAY,
    retentionSeconds: variables.REHOME_RETENTION,
    webhookListen: variables.REHOME_WEBHOOK_LISTEN,
    /** Hash source and target whole at cut-over. */
    hashCheck: variables.REHOME_HASH_CHECK,
  };
}
export type ControllerConfiguration = Readonly<ReturnType<typeof parseControllerConfiguration>>;

/** @throws {ConfigurationError} */
export function parseAgentConfiguration(environment: Environment) {
  const variables = parse(agentVariables, environment);
  return {
    ...commonConfiguration(variables),
    nodeName: variables.NODE_NAME,
    storageAddress: variables.STORAGE_ADDRESS,
    /** undefined: every volume group whose name begins as HwameiStor's pools do. */
    pools: variables.POOLS as readonly string[] | undefined,
    minorRange: variables.DRBD_MINOR_RANGE,
    portRange: variables.DRBD_PORT_RANGE,
    syncSettings: {
      maxRateBytesPerSecond: variables.REHOME_SYNC_MAX_RATE,
      minRateBytesPerSecond: variables.REHOME_SYNC_MIN_RATE,
      fillTargetBytes: variables.REHOME_SYNC_FILL_TARGET,
      bufferBytes: variables.REHOME_SYNC_BUFFERS,
      onlineMinRateBytesPerSecond: variables.REHOME_ONLINE_MIN_RATE,
      onlineVerifyRateBytesPerSecond: variables.REHOME_ONLINE_VERIFY_RATE,
      socketBufferBytes: variables.REHOME_SYNC_SOCKET_BUFFER,
    } satisfies SyncSettings,
    clusterKeyFile: variables.CLUSTER_KEY_FILE,
    /** Locks and fencing tokens. */
    stateDirectory: variables.STATE_DIR,
  };
}
export type AgentConfiguration = Readonly<ReturnType<typeof parseAgentConfiguration>>;

function commonConfiguration(variables: z.output<z.ZodObject<typeof common>>) {
  return {
    /** Where Rehome's pods and Leases are. */
    namespace: variables.REHOME_NAMESPACE,
    temporalAddress: variables.TEMPORAL_ADDRESS,
    temporalNamespace: variables.TEMPORAL_NAMESPACE,
    logLevel: variables.LOG_LEVEL,
    /** undefined: the service account of the pod. */
    kubeconfig: variables.KUBECONFIG,
    /** For tests; empty otherwise. */
    faults: variables.REHOME_FAULTS as readonly FaultPoint[],
  };
}

function parse<Shape extends z.ZodRawShape>(schema: z.ZodObject<Shape>, environment: Environment): z.output<z.ZodObject<Shape>> {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    const problem = given[name] === undefined ? 'is not set' : `is ${JSON.stringify(given[name])} (${message})`;
    return `${name} ${problem}. Set it to ${(schema.shape[name] as z.ZodType | undefined)?.description}.`;
  });
  throw new ConfigurationError(lines.join('\n'));
}

/** The node's activities as this agent runs them: on this machine, with the permission of the API server, and showing how far they are. */
import { readFile } from 'node:fs/promises';
import { createNodeActivities, type NodeDependencies, temporalAttempt } from '../../activities/node/index.ts';
import { requestSchemas } from '../../activities/node/requests.ts';
import { type AgentConfiguration, ConfigurationError } from '../../core/contracts/configuration.ts';
import type { SyncProgress } from '../../core/contracts/migration.ts';
import type { NodeActivities } from '../../core/contracts/node-activities.ts';
import { localHost } from '../../system/host.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import type { ProgressReporter } from './progress-reporter.ts';

/** What steps on this node need, whoever asks for them. */
export function nodeDependencies(configuration: AgentConfiguration, kube: KubeClient): Omit<NodeDependencies, 'attempt'> {
  const { nodeName, minorRange, portRange, syncSettings, stateDirectory, clusterKeyFile } = configuration;
  return {
    host: localHost,
    nodeName,
    minorRange,
    portRange,
    syncSettings,
    stateDirectory,
    readClusterKey: () => readFile(clusterKeyFile),
    findMigration: (name) => kube.find(localVolumeMigrates, { name }),
  };
}

export function agentActivities(node: Omit<NodeDependencies, 'attempt'>, progress: ProgressReporter): NodeActivities {
  const dependencies: NodeDependencies = { ...node, attempt: temporalAttempt };
  /** Activities of one call, whose heartbeats are reported for the migration that the call is about. */
  const reporting = async <T>(request: unknown, call: (activities: NodeActivities) => Promise<T>): Promise<T> => {
    const { name } = requestSchemas.mirror.parse(request).mirror.migration;
    const attempt = () => {
      const { heartbeat, ...rest } = temporalAttempt();
      const report = (details: unknown): void => {
        heartbeat(details);
        progress.report(name, details as SyncProgress);
      };
      return { ...rest, heartbeat: report };
    };
    try {
      return await call(createNodeActivities({ ...dependencies, attempt }));
    } finally {
      progress.forget(name);
    }
  };
  return {
    ...createNodeActivities(dependencies),
    awaitSync: (request) => reporting(request, (activities) => activities.awaitSync(request)),
    verifyMirror: (request) => reporting(request, (activities) => activities.verifyMirror(request)),
  };
}

/** Fewer could be guessed: all that is secret about a mirror follows from the key. */
const MINIMUM_KEY_BYTES = 16;

/** @throws {ConfigurationError} where there is no good key: found at start, not at the first mirror. */
export async function checkClusterKey({ clusterKeyFile }: AgentConfiguration): Promise<void> {
  const key = await readFile(clusterKeyFile).catch((error: Error) => error);
  if (!(key instanceof Error) && key.length >= MINIMUM_KEY_BYTES) return;
  const problem = key instanceof Error ? key.message : `it has ${key.length} bytes, a key needs ${MINIMUM_KEY_BYTES}`;
  throw new ConfigurationError(
    `CLUSTER_KEY_FILE is ${JSON.stringify(clusterKeyFile)} (${problem}). Set it to the file with the key that all agents share, mounted from Secret rehome-cluster-key.`,
  );
}

/**
 * How both programs begin and end.
 *
 *   exit code 0  told to stop (SIGTERM, SIGINT), and what ran has ended
 *             1  something that should not happen
 *             2  the configuration is invalid
 *             3  refused to run, for a reason that a person has to change
 *             4  told to stop, and something that ran did not end in time
 */
import { ConfigurationError } from '../core/contracts/configuration.ts';
import { KubeClient } from '../system/kube/client.ts';
import { loadKubeConfig } from '../system/kube/connection.ts';
import { createLogger, installRuntime, type Logger } from './logging.ts';

/** Within Kubernetes' 30 s between SIGTERM and SIGKILL, which would leave no word of what did not end. */
const STOPS_WITHIN_SECONDS = 25;

/** Nothing is wrong with the program or its configuration, but it must not run. */
export class RefusalError extends Error {
  override readonly name: string = 'RefusalError';
}

export interface Program<Configuration extends { readonly logLevel: string }> {
  readonly name: string;
  readonly parse: (environment: NodeJS.ProcessEnv) => Configuration;
  /** Fields of every line of the log. */
  readonly logFields?: (configuration: Configuration) => Readonly<Record<string, string>>;
  /** Returns when the signal has ended it; all that it opened is closed then. */
  readonly run: (configuration: Configuration, logger: Logger, signal: AbortSignal) => Promise<void>;
}

/** Runs a program and ends the process: whatever timer or connection is left over keeps it no longer. */
export async function runProgram<Configuration extends { readonly logLevel: string }>(program: Program<Configuration>): Promise<never> {
  const stop = new AbortController();
  let logger: Logger | undefined;
  const endInTime = (): void => {
    setTimeout(() => {
      logger?.fatal(`did not end within ${STOPS_WITHIN_SECONDS} s: what still ran is for the next one to take up`);
      process.exit(4);
    }, STOPS_WITHIN_SECONDS * 1000);
  };
  stop.signal.addEventListener('abort', endInTime, { once: true });
  // The second signal of a kind is not caught: it ends the process at once.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  try {
    const configuration = program.parse(process.env);
    logger = createLogger(program.name, configuration.logLevel, program.logFields?.(configuration));
    installRuntime(logger);
    await program.run(configuration, logger, stop.signal);
    logger.info('ended');
    process.exit(0);
  } catch (error) {
    if (error instanceof ConfigurationError) {
      console.error(`${program.name}: the configuration is invalid\n${error.message}`);
      process.exit(2);
    }
    if (error instanceof RefusalError) {
      logger?.fatal(error.message);
      process.exit(3);
    }
    if (logger) logger.fatal({ error }, 'ended by an error');
    else console.error(error);
    process.exit(1);
  }
}

/** @param name says who writes. @throws {ConfigurationError} where the kubeconfig cannot be used, or there is neither one nor a service account. */
export function openKube(kubeconfig: string | undefined, name: string): KubeClient {
  if (kubeconfig === undefined && !process.env['KUBERNETES_SERVICE_HOST']) {
    throw new ConfigurationError('KUBECONFIG is not set, and this is no pod of a cluster. Set it to the path of a kubeconfig file.');
  }
  try {
    return new KubeClient(loadKubeConfig(kubeconfig), name);
  } catch (error) {
    const given =
      kubeconfig === undefined
        ? 'KUBECONFIG is not set, and the service account cannot be used'
        : `KUBECONFIG is ${JSON.stringify(kubeconfig)}`;
    // One line: what follows it may be the part of the file that could not be read, with a token in it.
    const [problem] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new ConfigurationError(`${given} (${problem}). Set it to the path of a kubeconfig file.`);
  }
}

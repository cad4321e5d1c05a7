/** Logs are JSON, a line each, on standard output. */
import type { Logger as SdkLogger } from '@temporalio/common';
import { makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

/** @param name of the program, and fields that stand in every line. */
export function createLogger(name: string, level: string, fields: Readonly<Record<string, string>> = {}): Logger {
  return pino({
    name,
    level,
    base: { pid: process.pid, ...fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.err },
  });
}

/**
 * What the Temporal SDK says, natively or in TypeScript, goes to our log. To be called once, before anything else of the SDK.
 *
 * Signals are ours to handle: the SDK would end workers only, and a process that still waits for its server has none.
 */
export function installRuntime(logger: Logger): void {
  Runtime.install({
    logger: sdkLogger(logger.child({ component: 'temporal' })),
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
    shutdownSignals: [],
    // Temporal's development server has nobody who takes them.
    workerHeartbeatInterval: 0,
  });
}

function sdkLogger(logger: Logger): SdkLogger {
  const at = (level: 'trace' | 'debug' | 'info' | 'warn' | 'error') => (message: string, meta?: object) =>
    logger[level](meta ?? {}, message);
  const [trace, debug, info, warn, error] = [at('trace'), at('debug'), at('info'), at('warn'), at('error')];
  const byLevel = { TRACE: trace, DEBUG: debug, INFO: info, WARN: warn, ERROR: error };
  return { log: (level, message, meta) => byLevel[level](message, meta), trace, debug, info, warn, error };
}

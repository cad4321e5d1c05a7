import { CommandError, type CommandResult } from '../../../system/command.ts';
import type { Host } from '../../../system/host.ts';
import type { KernelLogRecord } from '../../../system/kernel-log.ts';

export type Answer = Partial<CommandResult>;

/** A node that does nothing but write down what it was asked to run, and answer as told. */
export function recordingHost(
  answer: (commandLine: string) => Answer = () => ({}),
  files: Record<string, string> = {},
  kernelLog: readonly KernelLogRecord[] = [],
) {
  const commands: string[][] = [];
  const secrets: string[] = [];
  const host: Host = {
    run: async (program, args, options = {}) => {
      commands.push([program, ...args]);
      secrets.push(...(options.secrets ?? []));
      const result = { exitCode: 0, stdout: '', stderr: '', ...answer([program, ...args].join(' ')) };
      if (![0, ...(options.expectedExitCodes ?? [])].includes(result.exitCode)) {
        throw new CommandError({ program, args, stderr: result.stderr, ending: { exitCode: result.exitCode } }, options.secrets);
      }
      return result;
    },
    readText: async (path) => files[path],
    writeText: async (path, text) => {
      files[path] = text;
    },
    deviceNumber: () => Promise.reject(new Error('no devices')),
    hashFile: () => Promise.reject(new Error('nothing to hash')),
    flush: () => Promise.reject(new Error('no devices')),
    readKernelLog: async () => kernelLog,
  };
  return { host, commands, secrets, files };
}

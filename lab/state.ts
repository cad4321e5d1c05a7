/**
 * What is known of the lab between two commands: one file in its directory, replaced as a whole.
 *
 * There is one lab on a machine, because its network namespace and addresses are fixed.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseProcessStat } from './processes.ts';

const port = z.int().min(1).max(65_535);

const stateSchema = z.object({
  /** `starting` until everything has answered: what an interrupted `up` leaves is thrown away by the next. */
  phase: z.enum(['starting', 'ready']),
  /** The process that brings it up, as the kernel tells it from every other since the boot. */
  startedBy: z.object({ pid: z.int(), startTime: z.string() }),
  nodes: z.int().min(1).max(9),
  /** Whether controller and agents run in it. */
  rehome: z.boolean(),
  /** Added to the controller's environment whenever it is started. */
  controllerEnvironment: z.record(z.string(), z.string()),
  /** Where the programs of the control plane are. */
  programs: z.object({ controlPlaneDirectory: z.string(), temporalDirectory: z.string() }),
  /** Chosen once, so that a component that is started again is found where it was. */
  ports: z.object({ etcdClient: port, etcdPeer: port, apiserver: port, temporal: port, temporalUi: port }),
});

export type LabState = z.infer<typeof stateSchema>;

/** No lab is up, so there is nothing to work on. */
export class NoLabError extends Error {
  override readonly name = 'NoLabError';

  constructor(directory: string) {
    super(`no lab is up in ${directory}: start one by \`npm run lab -- up\``);
  }
}

/** There is a lab already, or somebody is bringing one up. */
export class LabExistsError extends Error {
  override readonly name = 'LabExistsError';
}

/** @param environment of the process, read at the entry point. */
export function labDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.REHOME_LAB_DIR || '/tmp/rehome-lab';
}

export function readState(directory: string): LabState | undefined {
  const text = readIfThere(stateFile(directory));
  return text === undefined ? undefined : stateSchema.parse(JSON.parse(text));
}

export function writeState(directory: string, state: LabState): void {
  mkdirSync(directory, { recursive: true });
  const file = stateFile(directory);
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

export function removeState(directory: string): void {
  rmSync(stateFile(directory), { force: true });
}

/** This process, as it stands in a state. */
export function thisProcess(): LabState['startedBy'] {
  return identityOf(process.pid)!;
}

/** Whether the process that was bringing the lab up still lives. */
export function starterLives({ startedBy }: LabState): boolean {
  return identityOf(startedBy.pid)?.startTime === startedBy.startTime;
}

function identityOf(pid: number): LabState['startedBy'] | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`);
  const identity = stat === undefined ? undefined : parseProcessStat(stat);
  return identity && { pid: identity.pid, startTime: identity.startTime };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function stateFile(directory: string): string {
  return join(directory, 'lab.json');
}

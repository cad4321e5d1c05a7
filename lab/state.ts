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
  /** For whom it is up. `process`: for the one that started it, a demo or a test run, and of no use after its end. `person`: until `lab down`. */
  owner: z.enum(['person', 'process']).default('person'),
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

/** There is a lab already that somebody uses, or somebody is bringing one up. */
export class LabExistsError extends Error {
  override readonly name = 'LabExistsError';
}

/** @param environment of the process, read at the entry point. */
export function labDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.REHOME_LAB_DIR || '/tmp/rehome-lab';
}

/** @throws where there is one that this version does not understand. */
export function readState(directory: string): LabState | undefined {
  const file = stateFile(directory);
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`${file} is another version's: take that lab down by \`npm run lab -- down\``, { cause: error });
  }
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

/** As `readState`, for whoever must not stumble over a state that cannot be read: an earlier version's, say. */
export function readableState(directory: string): LabState | undefined {
  try {
    return readState(directory);
  } catch {
    return undefined;
  }
}

/** This process, as it stands in a state. */
export function thisProcess(): LabState['startedBy'] {
  return identityOf(process.pid)!;
}

/** Whether this process is the one that brought the lab up, or is bringing it up. */
export function isOwn(state: LabState | undefined): boolean {
  return state?.startedBy.pid === process.pid && state.startedBy.startTime === thisProcess().startTime;
}

/** Whether the process that brought the lab up, or was bringing it up, still lives. */
export function starterLives({ startedBy }: LabState): boolean {
  return identityOf(startedBy.pid)?.startTime === startedBy.startTime;
}

/** Who needs the lab, in words; nobody where it is only what a process left that was killed. */
export function userOf(state: LabState): string | undefined {
  if (state.phase === 'ready' && state.owner === 'person') return 'a lab is up';
  if (!starterLives(state)) return undefined;
  const { pid } = state.startedBy;
  return state.phase === 'ready' ? `a demo or a test run uses the lab (process ${pid})` : `process ${pid} is bringing a lab up`;
}

function identityOf(pid: number): LabState['startedBy'] | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`);
  const identity = stat === undefined ? undefined : parseProcessStat(stat);
  // Z: it has ended, and its parent has not asked how.
  return identity && identity.state !== 'Z' ? { pid: identity.pid, startTime: identity.startTime } : undefined;
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

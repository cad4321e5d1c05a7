/**
 * What is known of the lab between two commands: one file in its directory, replaced as a whole.
 *
 * There is one lab on a machine, because its network namespace and addresses are fixed.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const port = z.int().min(1).max(65_535);

const stateSchema = z.object({
  /** `starting` until everything has answered: what an interrupted `up` leaves is thrown away by the next. */
  phase: z.enum(['starting', 'ready']),
  nodes: z.int().min(1).max(9),
  /** Whether controller and agents run in it. */
  rehome: z.boolean(),
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

/** @param environment of the process, read at the entry point. */
export function labDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  return environment['REHOME_LAB_DIR'] || '/tmp/rehome-lab';
}

export function readState(directory: string): LabState | undefined {
  let text: string;
  try {
    text = readFileSync(stateFile(directory), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return stateSchema.parse(JSON.parse(text));
}

export function writeState(directory: string, state: LabState): void {
  mkdirSync(directory, { recursive: true });
  const file = stateFile(directory);
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

function stateFile(directory: string): string {
  return join(directory, 'lab.json');
}

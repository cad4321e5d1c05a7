/** drbdsetup's way of saying that the kernel refused a request: an exit code, and a text that begins with the reason's number. */
import { CommandError } from '../command.ts';

const REFUSED = 10;

/** That there is no such connection: on 9 as on 8.4. */
export const UNKNOWN_CONNECTION = /\(162\)/;
/** On 9 as on 8.4, as printed: `(134) Sync-pause flag is already set`, `(135) Sync-pause flag is already cleared`. */
export const PAUSE_FLAG_AS_WANTED = /Sync-pause flag is already (set|cleared)/;

export function isRefusedAs(message: RegExp, error: unknown): boolean {
  return error instanceof CommandError && error.exitCode === REFUSED && message.test(error.stderr);
}

/** Takes a refusal for success where it says that things are as they were wanted. */
export async function unlessRefusedAs(message: RegExp, command: Promise<void>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (!isRefusedAs(message, error)) throw error;
  }
}

/** How the lab's programs take their command line, and what they say where they fail. */
import { LabExistsError } from './index.ts';
import { PreflightError } from './preflight.ts';

/** Who asks for help gets the usage, and the process ends. */
export function explainIfAsked(args: readonly string[], usage: string): void {
  if (!args.includes('--help') && !args.includes('-h')) return;
  console.log(usage);
  process.exit();
}

/** Who asks for help gets the usage. Where the command line is none its problem and the usage are said, and the process ends with 2. */
export function parseCommandLine<T>(parse: (args: string[]) => T, usage: string): T {
  const args = process.argv.slice(2);
  explainIfAsked(args, usage);
  try {
    return parse(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

/** What a person can put right needs no stack. */
export function inWords(error: unknown): unknown {
  if (error instanceof PreflightError || error instanceof LabExistsError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : error;
}

/** How the lab's programs take their command line, and what they say where they fail. */
import { LabExistsError } from './index.ts';
import { PreflightError } from './preflight.ts';

/** Whether an argument asks for the usage. */
export function asksForHelp(args: readonly string[]): boolean {
  return args.includes('--help') || args.includes('-h');
}

/** Who asks for help gets the usage. Where the command line is none its problem and the usage are said, and the process ends with 2. */
export function parseCommandLine<T>(parse: (args: string[]) => T, usage: string): T {
  const args = process.argv.slice(2);
  if (asksForHelp(args)) {
    console.log(usage);
    process.exit();
  }
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

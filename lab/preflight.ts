/** What must hold of the host before the lab changes anything on it. */

export interface Problem {
  /** What is missing or in the way. */
  readonly problem: string;
  /** What the person can do about it. */
  readonly remedy: string;
}

/** A check says what is wrong, or nothing. */
export type Check = () => Promise<Problem | undefined> | Problem | undefined;

/** Says everything that is wrong at once, so that it can be put right at once. */
export class PreflightError extends Error {
  override readonly name = 'PreflightError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(['this machine cannot run the lab:', ...problems.map(({ problem, remedy }) => `  - ${problem}. ${remedy}`)].join('\n'));
    this.problems = problems;
  }
}

/** @throws {PreflightError} with every check's finding. */
export async function preflight(checks: readonly Check[]): Promise<void> {
  const findings = await Promise.all(checks.map(async (check) => check()));
  const problems = findings.filter((finding) => finding !== undefined);
  if (problems.length > 0) throw new PreflightError(problems);
}

/** What the machines need: root, Linux on x86_64 with apt, memory, disk. Other parts of the lab add their own checks. */
export function machineChecks(_count: number, _directory: string): Check[] {
  throw new Error('not implemented yet');
}

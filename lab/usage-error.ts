/** The command line is not one: its message and the usage are shown. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A failure that is told to the user in one line, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

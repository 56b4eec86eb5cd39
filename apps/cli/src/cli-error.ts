/** A failure that is told to the user in one line, without a stack. */
export class CliError extends Error {
  override readonly name: string = 'CliError';
}

/** No answer came. */
export class Unreachable extends CliError {}

/** The server refused a request. */
export class ServerRefusal extends CliError {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

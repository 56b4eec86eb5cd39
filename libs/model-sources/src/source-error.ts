/** A model cannot be fetched or put in place; the message says why, what would help, and is fit for users. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

/** A failure that may be gone the next time; becomes a `SourceError` when all attempts are used. */
export class TransientError extends Error {
  override readonly name = 'TransientError';

  constructor(
    message: string,
    /** What the server asks for; null: nothing. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}

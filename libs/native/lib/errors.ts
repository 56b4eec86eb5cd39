const CHANNEL_ERROR_CODES = ['INVALID', 'UNREACHABLE', 'TIMEOUT', 'REFUSED', 'PROTOCOL', 'TOO_LARGE', 'CLOSED', 'INTERNAL'] as const;
export type ChannelErrorCode = (typeof CHANNEL_ERROR_CODES)[number];

/** What went wrong in a channel, as the native side said it. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';

  constructor(
    readonly code: ChannelErrorCode,
    message: string,
    /** Position in the submission of the item at fault; null when it is no single one. */
    readonly item: number | null,
  ) {
    super(message);
  }
}

/** A method was called on something that is closed: a mistake of the caller. */
export class IllegalStateError extends Error {
  override readonly name = 'IllegalStateError';
}

/** Turns what the addon threw into a class of this file; everything else is passed on as it is. */
export function fromNative(error: unknown): Error {
  if (!(error instanceof Error) && !isErrorLike(error)) return new Error(String(error));
  const { name, code, message, item } = error as Error & { code?: unknown; item?: unknown };
  if (name !== 'ChannelError' || !isCode(code)) return error as Error;
  if (code === 'CLOSED') return new IllegalStateError(message);
  return new ChannelError(code, message, typeof item === 'number' ? item : null);
}

/** Errors of another realm (a test runner's) are no instances of this realm's Error. */
function isErrorLike(error: unknown): boolean {
  return Object.prototype.toString.call(error) === '[object Error]';
}

function isCode(code: unknown): code is ChannelErrorCode {
  return CHANNEL_ERROR_CODES.some((known) => known === code);
}

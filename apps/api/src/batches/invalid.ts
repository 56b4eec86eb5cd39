import { InterleaveError } from '@app/contracts';

export const SHOWN_CHARS_MAX = 80;

/** `<param>: expected <what> but received <value>`; null: the body itself. */
export function invalid(param: string | null, expected: string, received: unknown): InterleaveError {
  return new InterleaveError(
    'invalid_request',
    `${param === null ? 'Body' : param}: expected ${expected} but received ${shown(received)}`,
    param === null ? {} : { param },
  );
}

export function shown(value: unknown): string {
  const text =
    value === undefined ? 'nothing' : JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part));
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}

import { InterleaveError } from '@app/contracts';

const SHOWN_CHARACTERS_MAX = 64;

export type JsonObject = Record<string, unknown>;

/** What came, for messages: short, and safe to print whatever it is. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return `the string ${quote(value)}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value !== null && typeof value === 'object') return 'an object';
  return String(value);
}

/** JSON notation of a text, cut to a bearable length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text);
}

/** `expected <what> for <path> but received <value>`. */
export function mismatch(what: string, path: string, received: unknown): InterleaveError {
  return invalid(`expected ${what} for ${path} but received ${describe(received)}`, path);
}

export function invalid(message: string, path: string): InterleaveError {
  return new InterleaveError('invalid_request', message, { param: path });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function expectObject(value: unknown, path: string): JsonObject {
  if (!isObject(value)) throw mismatch('an object', path, value);
  return value;
}

/** A non-empty array of at most `lengthMax`. */
export function expectItems(value: unknown, path: string, lengthMax: number): unknown[] {
  if (!Array.isArray(value)) throw mismatch('an array', path, value);
  if (value.length === 0) throw mismatch('at least one element', path, value);
  if (value.length > lengthMax) throw mismatch(`at most ${lengthMax} elements`, path, value);
  return value;
}

export function expectString(value: unknown, path: string): string {
  if (typeof value !== 'string') throw mismatch('a string', path, value);
  return value;
}

export function optionalString(value: unknown, path: string): string | null {
  return value === undefined || value === null ? null : expectString(value, path);
}

export function optionalBoolean(value: unknown, path: string): boolean | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'boolean') throw mismatch('true or false', path, value);
  return value;
}

/** An integer within the bounds (inclusive), or null when the field is absent. */
export function optionalInteger(value: unknown, path: string, bounds: { min: number; max: number }): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < bounds.min || value > bounds.max) {
    throw mismatch(`an integer from ${bounds.min} to ${bounds.max}`, path, value);
  }
  return value;
}

/** Gives an error from deeper down, whose path starts with the index of a text, the path of the field that holds the text. */
export function atPath(error: unknown, pathOf: (index: string) => string): unknown {
  const match = error instanceof InterleaveError && error.code === 'invalid_request' ? /^(\[\d+\])(.*)$/.exec(error.param ?? '') : null;
  if (match === null) return error;
  const param = pathOf(match[1] as string) + match[2];
  return new InterleaveError('invalid_request', `${param}: ${(error as Error).message}`, { param, cause: error });
}

/** Runs `answer`; an error in what the model gave gets the path of the input that it gave it for. */
export function answering<T>(path: string, answer: () => T): T {
  try {
    return answer();
  } catch (error) {
    if (!(error instanceof InterleaveError) || error.code !== 'inference_failed') throw error;
    throw new InterleaveError('inference_failed', `${path}: ${error.message}`, { param: path, cause: error });
  }
}

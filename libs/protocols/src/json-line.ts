import { toJsonText } from './json-numbers';

/** Line separators to Python's `splitlines`, httpx and other readers, which JSON may hold as they are. */
const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

/** Written in JSON as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** One line of a JSON Lines file without its line end, or a part of one; no reader finds a line end inside of it. */
export function jsonLine(value: object | string): string {
  if (typeof value === 'string' && PLAIN.test(value)) return `"${value}"`;
  return toJsonText(value).replace(LINE_SEPARATORS, (separator) => `\\u${separator.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

import { isUtf8 } from 'node:buffer';
import { InterleaveError } from '@app/contracts';
import { findFault, isRounded } from './json-walk';

const DEPTH_MAX = 64;

/**
 * Candidates for integers that a double cannot hold: 16 digits or more where a number may start, without fraction or
 * exponent. Digits inside of strings match too, so a match is only a reason to look closely.
 */
const LONG_INTEGER = /(?:^|[[,:\s-])(\d{16,})(?![\d.eE])/g;
/** The end of a key, but for keys that end with a backslash; see `countKeys`. */
const KEY_END = /(?<!\\)"\s*:/g;

/**
 * Parses a JSON body. Refuses, as `invalid_request`: text that is not UTF-8 or not JSON; integers that would be rounded
 * (beyond 2^53 and not representable), with their place; a key that occurs twice in one object; the key `__proto__`;
 * more than 64 levels. Costs little more than `JSON.parse` for honest bodies.
 */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) throw refuse('expected JSON in UTF-8 but the body is not valid UTF-8');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const value = parse(text);
  const keys = countKeys(value, 0);
  if (keys !== matches(text, KEY_END) || hasRoundedInteger(text)) {
    const fault = findFault(text);
    if (fault !== null) throw new InterleaveError('invalid_request', fault.message, { param: fault.path });
  }
  return value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw refuse(text === '' ? 'expected a JSON body but it is empty' : `expected a JSON body but it cannot be parsed: ${(error as Error).message}`);
  }
}

/** Keys of all objects; NaN, which equals nothing, when one ends with a backslash, so that `KEY_END` misses it. */
function countKeys(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth >= DEPTH_MAX) throw refuse(`expected at most ${DEPTH_MAX} levels of nesting but the body has more`);
  let count = 0;
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === 'object') count += countKeys(element, depth + 1);
    return count;
  }
  for (const [key, child] of Object.entries(value)) {
    if (key === '__proto__') throw refuse('expected no key "__proto__"');
    count += (key.endsWith('\\') ? NaN : 1) + countKeys(child, depth + 1);
  }
  return count;
}

function matches(text: string, pattern: RegExp): number {
  let count = 0;
  for (const _ of text.matchAll(pattern)) count++;
  return count;
}

function hasRoundedInteger(text: string): boolean {
  for (const match of text.matchAll(LONG_INTEGER)) if (isRounded(match[1] as string)) return true;
  return false;
}

function refuse(message: string): InterleaveError {
  return new InterleaveError('invalid_request', message);
}

import { isAscii, isUtf8, transcode } from 'node:buffer';
import { InterleaveError } from '@app/contracts';
import { quote } from './checks';
import { checkJsonBounds, checkJsonBoundsInSlices, type JsonCounts, type JsonLimits } from './json-bounds';
import { isMarked, markIntegers, unmarked } from './json-numbers';
import { findRepeatedKey, pathAtEnd } from './json-walk';

const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/**
 * Parses a JSON body of bounded size; a byte order mark before it is left out. Integers of 64 bits that a double may not
 * hold come as bigint, all other numbers as number. Refuses what is over the limits, and as `invalid_request`: text that
 * is not UTF-8 or not JSON, a key that occurs twice in one object, the key `__proto__`.
 */
export function parseJsonBody(bytes: Uint8Array, limits: JsonLimits): unknown {
  const json = withoutByteOrderMark(bytes);
  return parse(json, checkJsonBounds(json, limits));
}

/**
 * The same; the bounds are checked in slices of 2 ms, so that the event loop is held for the parse alone. With the
 * default limits that takes 43 ms for the worst body that was found (see `jsonLimits`).
 */
export async function parseJsonBodyInSlices(bytes: Uint8Array, limits: JsonLimits): Promise<unknown> {
  const json = withoutByteOrderMark(bytes);
  return parse(json, await checkJsonBoundsInSlices(json, limits));
}

function withoutByteOrderMark(bytes: Uint8Array): Uint8Array {
  const hasMark = BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte);
  return hasMark ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
}

function parse(bytes: Uint8Array, counts: JsonCounts): unknown {
  if (!isUtf8(bytes)) throw refuse('expected JSON in UTF-8 but the body is not valid UTF-8');
  const { wideIntegers } = counts;
  const hasWide = wideIntegers.length > 0;
  const value = parseText(decode(hasWide ? markIntegers(bytes, wideIntegers) : bytes), bytes, counts);
  const tally = { keys: 0, hasMarkedKey: false };
  const exact = settle(value, tally, hasWide);
  // An integer in a key's place has become a string.
  if (tally.hasMarkedKey) throw unparsable(faultOf(decode(bytes)) ?? 'a number is no key');
  if (tally.keys !== counts.keys) {
    const path = findRepeatedKey(decode(bytes));
    throw refuse(`expected each key once but ${path} occurs twice`, path);
  }
  return exact;
}

/** Valid UTF-8 as a string. Several times faster than `toString('utf8')` for long bodies. */
function decode(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isAscii(buffer) ? buffer.toString('latin1') : transcode(buffer, 'utf8', 'utf16le').toString('utf16le');
}

function parseText(text: string, bytes: Uint8Array, { oddWordEnd, wideIntegers }: JsonCounts): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (text === '') throw refuse('expected a JSON body but it is empty');
    if (oddWordEnd !== null) throw oddWord(decode(bytes.subarray(0, oddWordEnd)));
    // Where there are marks of ours, the error would quote them.
    const fault = wideIntegers.length === 0 ? null : faultOf(decode(bytes));
    throw unparsable(fault ?? (error as Error).message);
  }
}

/** What is wrong with a text that is no JSON; null: nothing is. */
function faultOf(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

const unparsable = (fault: string): InterleaveError => refuse(`expected a JSON body but it cannot be parsed: ${fault}`);

/** For `NaN`, `Infinity`, `None` and the like, which many a client writes. */
function oddWord(textBefore: string): InterleaveError {
  const path = pathAtEnd(textBefore);
  const word = quote(/-?[A-Za-z]+$/.exec(textBefore)?.[0] ?? '');
  return refuse(
    `expected a value that JSON has for ${path || 'the body'} but received ${word}; numbers that are not finite can be sent as binary tensor data`,
    path,
  );
}

/** Puts bigints where marked strings are, and counts the keys of all objects. Depth is bounded by then. */
function settle(value: unknown, tally: { keys: number; hasMarkedKey: boolean }, hasWide: boolean): unknown {
  if (typeof value === 'string') return hasWide ? unmarked(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const element: unknown = value[i];
      if (typeof element === 'object' || (hasWide && typeof element === 'string')) value[i] = settle(element, tally, hasWide);
    }
    return value;
  }
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object)) {
    if (key === '__proto__') throw refuse('expected no key "__proto__"');
    if (hasWide && isMarked(key)) tally.hasMarkedKey = true;
    tally.keys++;
    object[key] = settle(object[key], tally, hasWide);
  }
  return object;
}

function refuse(message: string, path?: string): InterleaveError {
  return new InterleaveError('invalid_request', message, path === undefined ? {} : { param: path });
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import { InterleaveError } from '@app/contracts';
import { losesFraction } from './json-numbers';

/** What a JSON text may contain; see `jsonLimits`. */
export interface JsonLimits {
  bytesMax: number;
  /** Numbers, strings, literals, objects and arrays; keys do not count. */
  valuesMax: number;
  /** Strings that are values, and integers beyond 2^53, which cost as much. */
  stringsMax: number;
  /** Keys of all objects together. */
  keysMax: number;
  /** Objects and arrays inside of each other. */
  depthMax: number;
  /** Characters of one number. */
  numberCharactersMax: number;
}

/** The keys of the settings that hold the limits. */
export type JsonSettings = Record<'jsonBytesMax' | 'jsonValuesMax' | 'jsonStringsMax' | 'jsonKeysMax' | 'jsonDepthMax', number>;

/** What a scan found, for those who parse next. */
export interface JsonCounts {
  values: number;
  strings: number;
  /** Pairs of a key and a value, those with a repeated key included. */
  keys: number;
  /** Where integers are that 64 bits may hold but a double may not, as start and end by turns. */
  wideIntegers: number[];
  /** End of the first word that is not true, false or null, as in NaN. */
  oddWordEnd: number | null;
}

/** Enough for every finite double written out without an exponent. */
const NUMBER_CHARACTERS_MAX = 1100;
const SHOWN_CHARACTERS_MAX = 40;
/** 2^53 has 16 digits and begins with a 9; 64 bits hold at most 20 digits. */
const WIDE_DIGITS_MIN = 16;
const WIDE_DIGITS_MAX = 20;
/** A double has 53 bits, 15 digits: with at most so many before the point it rounds only past so many zeros or nines. */
const GLANCE_WHOLE_DIGITS = 9;
const GLANCE_FRACTION_DIGITS = 6;
/** Strings longer than this are searched for their end by the runtime, not byte by byte. */
const SHORT_STRING_BYTES = 64;
/** Bytes between two looks at the clock: well under a millisecond. */
const STRETCH_BYTES = 64 * 1024;
const SLICE_MS = 2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const MINUS = 0x2d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const LETTER_F = 0x66;
const LETTER_N = 0x6e;
const LETTER_T = 0x74;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * The limits of JSON bodies, from the settings under `http`. CPU time of check and parse at the default limits, on one
 * core of a busy x86-64 machine, best of 8: 8 MiB of text 9 + 25 ms, of escapes 1 + 21 ms, of spaces 20 + 14 ms; 200 000 fractions of 20
 * digits 9 + 28 ms; as many empty arrays 2 + 14 ms; 10 000 objects of one key each 1 + 12 ms; 32 000 integers beyond
 * 2^53 2 + 13 ms; all limits at once 8 + 43 ms.
 */
export function jsonLimits(http: JsonSettings): JsonLimits {
  return {
    bytesMax: http.jsonBytesMax,
    valuesMax: http.jsonValuesMax,
    stringsMax: http.jsonStringsMax,
    keysMax: http.jsonKeysMax,
    depthMax: http.jsonDepthMax,
    numberCharactersMax: NUMBER_CHARACTERS_MAX,
  };
}

/**
 * Refuses JSON that would be expensive to parse, by one pass over its bytes that allocates next to nothing and ends at
 * the first limit: `too_large` for the bytes, else `invalid_request`. Does not check that the bytes are JSON. Takes up to
 * a few milliseconds per MiB; `checkJsonBoundsInSlices` leaves the event loop turns in between.
 */
export function checkJsonBounds(bytes: Uint8Array, limits: JsonLimits): JsonCounts {
  const scan = new JsonScan(bytes, limits);
  while (!scan.isDone) scan.advance(STRETCH_BYTES);
  return scan;
}

/** The same as `checkJsonBounds`, but never holds the event loop for more than about 2 ms at a time. */
export async function checkJsonBoundsInSlices(bytes: Uint8Array, limits: JsonLimits): Promise<JsonCounts> {
  const scan = new JsonScan(bytes, limits);
  for (;;) {
    const endMs = performance.now() + SLICE_MS;
    while (!scan.isDone && performance.now() < endMs) scan.advance(STRETCH_BYTES);
    if (scan.isDone) return scan;
    await nextTurn();
  }
}

/** One pass over the bytes, stretch by stretch; tokens may end beyond the stretch that they begin in. */
class JsonScan implements JsonCounts {
  values = 0;
  strings = 0;
  keys = 0;
  readonly wideIntegers: number[] = [];
  oddWordEnd: number | null = null;
  private readonly bytes: Buffer;
  private position = 0;
  private depth = 0;

  constructor(
    bytes: Uint8Array,
    private readonly limits: JsonLimits,
  ) {
    if (bytes.byteLength > limits.bytesMax) throw tooManyBytes(bytes.byteLength, limits.bytesMax);
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isDone(): boolean {
    return this.position >= this.bytes.length;
  }

  advance(stretchBytes: number): void {
    const { bytes } = this;
    const end = Math.min(this.position + stretchBytes, bytes.length);
    let position = this.position;
    while (position < end) {
      const byte = bytes[position] as number;
      if (byte === QUOTE) position = this.string(position);
      else if (byte === MINUS || isDigit(byte)) position = this.number(position);
      else if (isLetter(byte)) position = this.word(position);
      else {
        this.sign(byte);
        position++;
      }
    }
    this.position = position;
  }

  private sign(byte: number): void {
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      this.value();
      if (++this.depth > this.limits.depthMax) throw tooMany(this.limits.depthMax, 'levels of nesting', 'http.jsonDepthMax');
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) this.depth--;
  }

  private value(): void {
    if (++this.values > this.limits.valuesMax) throw tooMany(this.limits.valuesMax, 'values', 'http.jsonValuesMax', BINARY_HINT);
  }

  /** A string before a colon is a key. */
  private string(start: number): number {
    let position = endOfString(this.bytes, start);
    while (isSpace(this.bytes[position])) position++;
    if (this.bytes[position] === COLON) {
      if (++this.keys > this.limits.keysMax) throw tooMany(this.limits.keysMax, 'keys', 'http.jsonKeysMax');
      return position + 1;
    }
    this.value();
    this.countString();
    return position;
  }

  private number(start: number): number {
    this.value();
    const { bytes } = this;
    const digitsStart = bytes[start] === MINUS ? start + 1 : start;
    const end = start + this.limits.numberCharactersMax;
    let position = digitsStart;
    while (position < end && isDigit(bytes[position])) position++;
    if (!isNumberPart(bytes[position])) {
      if (isWide(bytes, digitsStart, position)) this.wideInteger(start, position);
      return position;
    }
    const point = position++;
    while (position < end && isDigit(bytes[position])) position++;
    const hasExponent = !isPoint(bytes[point]) || isNumberPart(bytes[position]);
    while (position < end && isNumberPart(bytes[position])) position++;
    if (position <= end && !isNumberPart(bytes[position])) {
      if (hasExponent || mayRound(bytes, digitsStart, point)) this.checkFraction(start, position);
      return position;
    }
    throw new InterleaveError(
      'invalid_request',
      `expected numbers of at most ${this.limits.numberCharactersMax} characters in JSON but the body has a longer one`,
    );
  }

  private checkFraction(start: number, end: number): void {
    const text = this.bytes.toString('latin1', start, end);
    if (losesFraction(text)) throw fractionLost(text);
  }

  private wideInteger(start: number, end: number): void {
    this.countString();
    this.wideIntegers.push(start, end);
  }

  private countString(): void {
    if (++this.strings > this.limits.stringsMax)
      throw tooMany(this.limits.stringsMax, 'strings and integers beyond 2^53', 'http.jsonStringsMax', BINARY_HINT);
  }

  private word(start: number): number {
    this.value();
    let position = start + 1;
    while (position < this.bytes.length && isLetter(this.bytes[position] as number)) position++;
    if (this.oddWordEnd === null && !isLiteral(this.bytes, start, position)) this.oddWordEnd = position;
    return position;
  }
}

/** Index after the closing quote; the end of the bytes when there is none. */
function endOfString(bytes: Buffer, start: number): number {
  let position = start + 1;
  for (;;) {
    const near = Math.min(position + SHORT_STRING_BYTES, bytes.length);
    while (position < near) {
      const byte = bytes[position];
      if (byte === QUOTE) return position + 1;
      position += byte === BACKSLASH ? 2 : 1;
    }
    const quote = bytes.indexOf(QUOTE, position);
    if (quote === -1) return bytes.length;
    if (isEven(backslashesBefore(bytes, quote, position))) return quote + 1;
    position = quote + 1;
  }
}

/** Backslashes right before `quote` and not before `start`, where no escape is open. */
function backslashesBefore(bytes: Buffer, quote: number, start: number): number {
  let position = quote;
  while (position > start && bytes[position - 1] === BACKSLASH) position--;
  return quote - position;
}

function isEven(count: number): boolean {
  return count % 2 === 0;
}

function isWide(bytes: Buffer, start: number, end: number): boolean {
  const digits = end - start;
  return digits >= WIDE_DIGITS_MIN && digits <= WIDE_DIGITS_MAX && (digits > WIDE_DIGITS_MIN || bytes[start] === NINE);
}

/** At a glance, whether a double may take a fraction for an integer: it is large, or the fraction begins with zeros or nines. */
function mayRound(bytes: Buffer, start: number, point: number): boolean {
  if (point - start > GLANCE_WHOLE_DIGITS) return true;
  const first = bytes[point + 1];
  if (first !== ZERO && first !== NINE) return false;
  for (let i = 2; i <= GLANCE_FRACTION_DIGITS; i++) if (bytes[point + i] !== first) return false;
  return true;
}

/** By length and first letter: enough to tell true, false and null from what clients write instead. */
function isLiteral(bytes: Buffer, start: number, end: number): boolean {
  const first = bytes[start];
  return end - start === 4 ? first === LETTER_T || first === LETTER_N : end - start === 5 && first === LETTER_F;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Digits, point, exponent, signs. */
function isNumberPart(byte: number | undefined): boolean {
  return isDigit(byte) || byte === POINT || byte === 0x65 || byte === 0x45 || byte === PLUS || byte === MINUS;
}

function isPoint(byte: number | undefined): boolean {
  return byte === POINT;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isLetter(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);
}

function fractionLost(text: string): InterleaveError {
  const shown = text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
  return new InterleaveError(
    'invalid_request',
    `expected a number that a double can hold but received ${shown}, which would become ${Number(text)}; send ${Number(text)}, or fewer digits`,
  );
}

const BINARY_HINT = '; send large tensors as binary data to POST /v2/models/{model}/infer';

function tooMany(limit: number, what: string, key: string, hint = ''): InterleaveError {
  return new InterleaveError('invalid_request', `expected at most ${limit} ${what} in JSON but the body has more (${key})${hint}`);
}

function tooManyBytes(received: number, bytesMax: number): InterleaveError {
  return new InterleaveError(
    'too_large',
    `expected at most ${bytesMax} bytes of JSON but received ${received} (http.jsonBytesMax)${BINARY_HINT}`,
  );
}

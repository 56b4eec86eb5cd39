import { randomBytes } from 'node:crypto';

/**
 * `JSON.parse` and `JSON.stringify` know doubles only. Other numbers travel through the first one as strings that begin with this mark, and
 * ready texts through the second one as the mark alone. Nobody outside of the process can guess it, so no caller's string is taken for one.
 */
const MARK = `#${randomBytes(12).toString('base64url')}#`;
const MARK_BYTES = Buffer.from(`"${MARK}`);
const QUOTE = 0x22;
const DECIMAL = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** Texts in the order in which `JSON.stringify` comes to them; null: it does not run. */
let texts: string[] | null = null;

/** A number, or an array of numbers, that is written in JSON as these characters, by `toJsonText` only. */
export class JsonText {
  constructor(private readonly text: string) {}

  toJSON(): string {
    if (texts === null) throw new Error('expected toJsonText for this value');
    texts.push(this.text);
    return MARK;
  }
}

/** JSON of a value that may hold `JsonText`s. */
export function toJsonText(value: unknown): string {
  const found: string[] = [];
  texts = found;
  let json: string;
  try {
    json = JSON.stringify(value);
  } finally {
    texts = null;
  }
  if (found.length === 0) return json;
  const [first = '', ...parts] = json.split(`"${MARK}"`);
  return parts.reduce((text, part, index) => text + (found[index] ?? '') + part, first);
}

/** The same JSON with the integers at these positions (start and end by turns) as marked strings. */
export function markIntegers(bytes: Uint8Array, positions: readonly number[]): Uint8Array {
  const marked = Buffer.allocUnsafe(bytes.byteLength + (positions.length / 2) * (MARK_BYTES.length + 1));
  let from = 0;
  let to = 0;
  const copy = (end: number): void => {
    marked.set(bytes.subarray(from, end), to);
    to += end - from;
    from = end;
  };
  for (let i = 0; i < positions.length; i += 2) {
    copy(positions[i] as number);
    marked.set(MARK_BYTES, to);
    to += MARK_BYTES.length;
    copy(positions[i + 1] as number);
    marked[to++] = QUOTE;
  }
  copy(bytes.byteLength);
  return marked;
}

export const isMarked = (text: string): boolean => text.startsWith(MARK);

/** The integer that a marked string stands for, as bigint beyond 2^53; any other string as it is. */
export function unmarked(text: string): string | number | bigint {
  if (!isMarked(text)) return text;
  const digits = text.slice(MARK.length);
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : BigInt(digits);
}

/** Whether a double takes this JSON number for an integer, and it is none. */
export function losesFraction(text: string): boolean {
  if (!Number.isInteger(Number(text))) return false;
  const [, whole = '', fraction = '', exponent = '0'] = DECIMAL.exec(text) ?? [];
  const digits = whole + fraction;
  const significant = digits.replace(/0+$/, '');
  return significant !== '' && Number(exponent) - fraction.length + (digits.length - significant.length) < 0;
}

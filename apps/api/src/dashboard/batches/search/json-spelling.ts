const BACKSLASH = 0x5c;
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
};

/** A text as JSON may have it. */
export interface Spelling {
  /** Whether a string there is this text, or ends in something that looks like it. */
  isIn(json: Buffer): boolean;
}

/** Any character may be escaped: PHP writes `\/`, Go `\u0026`, .NET `\u00E9`, Python `\u00e9`. */
export function spellingOf(text: string): Spelling {
  const usual = Buffer.from(JSON.stringify(text));
  const any = new RegExp(`"${Array.from(text, spellings).join('')}"`);
  // The usual one is found several times faster, and there is no other without a backslash.
  return { isIn: (json) => json.includes(usual) || (json.includes(BACKSLASH) && any.test(json.toString('latin1'))) };
}

/** A pattern of the UTF-8 bytes, each as one character. */
function spellings(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => escapeOf(character.charCodeAt(at)));
  const short = SHORT_ESCAPES[character];
  const mustBeEscaped = character < ' ' || character === '"' || character === '\\';
  const asItIs = mustBeEscaped ? null : patternOf(Buffer.from(character).toString('latin1'));
  return `(?:${[asItIs, units.join(''), short === undefined ? null : patternOf(`\\${short}`)].filter((each) => each !== null).join('|')})`;
}

const escapeOf = (unit: number): string =>
  `\\\\u${unit
    .toString(16)
    .padStart(4, '0')
    .replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`;

const patternOf = (text: string): string =>
  text.replace(/[^A-Za-z0-9]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** One open object (with the keys it had so far) or array. `key` is what the current value belongs to. */
interface Level {
  keys: Set<string> | null;
  key: string | number;
  expectsKey: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Path of the first key that occurs twice in its object, in a text that is JSON of bounded size; '' when there is none. */
export function findRepeatedKey(text: string): string {
  const walk = new Walk(text);
  while (!walk.isDone) if (walk.step()) return walk.path();
  return '';
}

/** Path of the value at the end of a text that is the beginning of JSON, for example `inputs[0].data[7]`. */
export function pathAtEnd(text: string): string {
  const walk = new Walk(text);
  while (!walk.isDone) walk.step();
  return walk.path();
}

/** Follows keys and indexes through a JSON text; what is between them is not looked at. For texts that are refused only. */
class Walk {
  private readonly levels: Level[] = [];
  private position = 0;

  constructor(private readonly text: string) {}

  get isDone(): boolean {
    return this.position >= this.text.length;
  }

  path(): string {
    return this.levels
      .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
      .join('')
      .replace(/^\./, '');
  }

  /** Takes one character or string; true after a key that its object had before. */
  step(): boolean {
    const start = this.position;
    const char = this.text.charCodeAt(start);
    if (char !== QUOTE) {
      this.sign(char);
      this.position++;
      return false;
    }
    this.position = endOfString(this.text, start);
    const level = this.levels.at(-1);
    return level?.expectsKey === true && takeKey(level, this.text.slice(start, this.position));
  }

  private sign(char: number): void {
    if (char === OPEN_OBJECT) this.levels.push({ keys: new Set(), key: '', expectsKey: true });
    else if (char === OPEN_ARRAY) this.levels.push({ keys: null, key: 0, expectsKey: false });
    else if (char === CLOSE_OBJECT || char === CLOSE_ARRAY) this.levels.pop();
    else if (char === COMMA) this.next(this.levels.at(-1));
  }

  private next(level: Level | undefined): void {
    if (level === undefined) return;
    if (typeof level.key === 'number') level.key++;
    level.expectsKey = level.keys !== null;
  }
}

function takeKey(level: Level, quoted: string): boolean {
  const key = keyOf(quoted);
  const isRepeated = level.keys?.has(key) ?? false;
  level.keys?.add(key);
  level.key = key;
  level.expectsKey = false;
  return isRepeated;
}

/** The text may turn out not to be JSON; then the key is shown as it stands there. */
function keyOf(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted;
  }
}

function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return text.length;
}

import { Tokenizer as JsTokenizer } from '@huggingface/tokenizers';
import { Tokenizer as RustTokenizer, type JsEncoding } from 'tokenizers';
import { ModelFileError, readBounded } from './model-files';
import { withLowercase } from './sentence/lower-case';
import { TOKENIZER_BYTES_MAX } from './tokenizer-config';

/**
 * Texts of a call up to this many characters altogether are tokenized at once by the JavaScript tokenizer, others on a
 * thread by the Rust one. Measured on 2 vCPUs with a 30k WordPiece vocabulary, one text: 60 characters JS 80 µs, Rust
 * 120 µs; 120: 165, 220; 250: 300–400, 250–400; 1000: 900, 700. The JavaScript time blocks the event loop.
 */
const JS_CHARACTERS_MAX = 160;

/**
 * Texts that the JavaScript tokenizer may have: Latin, Greek, Cyrillic, Armenian, kana, Han, Hangul and common
 * punctuation. Tried with every character of the BMP and BERT's normalizers, the two tokenizers differ only outside of
 * these: by their Unicode versions in other scripts, on U+0085, on U+FEFF, on a final sigma made lower case, and above
 * U+FFFF, where JavaScript's units are not characters.
 */
const FAST_TEXT = /^[\u0000-\u0084\u0086-\u03a2\u03a4-\u058f\u2000-\u206f\u20a0-\u20bf\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3]*$/;

/** Texts that the two must agree on before the JavaScript one is used with a `tokenizer.json`, with `LETTERS` below. */
const PROBES = [
  'Everyone has the right to life, liberty and the security of person.',
  "It's $12.50 (50% off)!  e-mail: a.b@c-d.org #1 -- don't",
  'Grüße, Ångström, naïve façade, Tiếng Việt, İstanbul όλοι οι άνθρωποι',
  'Все люди рождаются свободными и равными',
  'すべての人間は、生まれながらにして自由であり、カタカナ',
  '人人生而自由,在尊严和权利上一律平等。',
  '모든 인간은 태어날 때부터 자유로우며',
  'tab\there\nline\r\nend\u00a0nbsp\u2003em\u200bzero\u0000nul\u0007bell',
  'x\u0301 e\u0301 \u00bd \u2030 \u20ac \u00b2 \u2028 \u3000',
  '[CLS] [MASK] <s> </s> <pad> [UNK] <|endoftext|>',
  '',
  '   ',
];
/** Every character from U+0001 to U+058F that `FAST_TEXT` allows, inside, alone and at the end of a word; 16 to a text. */
const LETTERS = Array.from({ length: 89 }, (_, row) =>
  Array.from({ length: 16 }, (_, column) => String.fromCharCode(row * 16 + column))
    .filter((letter) => letter !== '\0' && FAST_TEXT.test(letter))
    .map((letter) => `a${letter}b ${letter} A${letter}`)
    .join(' '),
);

const ID_END = 2 ** 31;

/** Token ids of one row, special tokens included. */
export interface TokenizedText {
  ids: number[];
  /** 0 for the first text and 1 for its pair. */
  typeIds: number[];
  /** Null when it was not asked for. */
  spans: TokenSpan[] | null;
}

/** Where a token comes from: characters (Unicode code points, not UTF-16 units) of the text. */
export interface TokenSpan {
  token: string;
  start: number;
  end: number;
  special: boolean;
}

export interface TextAndPair {
  text: string;
  pair: string | null;
}

/**
 * A model's `tokenizer.json`. Truncation and padding that it may ask for are switched off: they are decided per request
 * and per batch.
 */
export class TextTokenizer {
  readonly vocabularySize: number;

  /** `js` is null when the two tokenizers do not agree on this vocabulary. */
  private constructor(
    private readonly rust: RustTokenizer,
    private readonly js: JsTokenizer | null,
  ) {
    this.vocabularySize = rust.getVocabSize(true);
  }

  /** Reads a `tokenizer.json`, and has it make texts lower case first when asked; throws a `ModelFileError` when it cannot be used. */
  static async load(path: string, { lowerCase } = { lowerCase: false }): Promise<TextTokenizer> {
    const file = readBounded(path, TOKENIZER_BYTES_MAX).toString('utf8');
    try {
      const content = lowerCase ? withLowercase(file) : file;
      const rust = RustTokenizer.fromString(content);
      rust.disableTruncation();
      rust.disablePadding();
      return new TextTokenizer(rust, await loadAgreeing(content, rust));
    } catch (error) {
      throw new ModelFileError(`${path}: ${(error as Error).message}`);
    }
  }

  /** True when short texts are tokenized without leaving the thread. */
  get hasFastPath(): boolean {
    return this.js !== null;
  }

  /** Tokenizes all texts. `spans` asks for the origin of each token. */
  async encode(texts: TextAndPair[], options: { spans: boolean }): Promise<TokenizedText[]> {
    const js = this.js;
    if (js !== null && !options.spans && isShort(texts)) return texts.map((text) => encodeWithJs(js, text));
    return (await this.encodeWithRust(texts)).map((encoding) => toTokenizedText(encoding, options.spans));
  }

  /**
   * Tokenizes one text and cuts it to `tokensMax` tokens, special tokens included and kept; of a pair, tokens are taken
   * from whichever is longer, at its end or, with `side` left, at its start.
   */
  async encodeTruncated(text: TextAndPair, tokensMax: number, options: { spans: boolean }, side: 'left' | 'right' = 'right'): Promise<TokenizedText> {
    const bare = { addSpecialTokens: false };
    const first = await this.rust.encode(text.text, null, bare);
    const second = text.pair === null ? null : await this.rust.encode(text.pair, null, bare);
    const lengths = [first.getLength(), second?.getLength() ?? 0] as const;
    const special = this.rust.postProcess(first, second, true).getLength() - lengths[0] - lengths[1];
    const [keepFirst, keepSecond] = shareLength(lengths, Math.max(tokensMax - special, 0));
    first.truncate(keepFirst, 0, side);
    second?.truncate(keepSecond, 0, side);
    return toTokenizedText(this.rust.postProcess(first, second, true), options.spans);
  }

  /** True for an id of the vocabulary; ids may have gaps, so some are beyond its size. */
  knows(id: unknown): boolean {
    return typeof id === 'number' && Number.isInteger(id) && id >= 0 && (id < this.vocabularySize || (id < ID_END && this.tokenOf(id) !== null));
  }

  /** The token of an id, or null when the vocabulary has no such id. */
  tokenOf(id: number): string | null {
    return this.rust.idToToken(id);
  }

  private encodeWithRust(texts: TextAndPair[]): Promise<JsEncoding[]> {
    if (texts.every(({ pair }) => pair === null)) return this.rust.encodeBatch(texts.map(({ text }) => text));
    return Promise.all(texts.map(({ text, pair }) => this.rust.encode(text, pair))); // encodeBatch of 0.23.2 takes no pairs
  }
}

/** How many tokens each of two texts keeps so that together they have at most `tokensMax`, cutting the longer one first. */
function shareLength([first, second]: readonly [number, number], tokensMax: number): [number, number] {
  if (first + second <= tokensMax) return [first, second];
  const half = Math.floor(tokensMax / 2);
  if (second <= half) return [tokensMax - second, second];
  if (first <= tokensMax - half) return [first, tokensMax - first];
  return [tokensMax - half, half];
}

function isShort(texts: TextAndPair[]): boolean {
  let characters = 0;
  for (const { text, pair } of texts) {
    characters += text.length + (pair?.length ?? 0);
    if (characters > JS_CHARACTERS_MAX || pair === '' || !FAST_TEXT.test(text) || !FAST_TEXT.test(pair ?? '')) return false;
  }
  return true;
}

function encodeWithJs(js: JsTokenizer, { text, pair }: TextAndPair): TokenizedText {
  const encoding = js.encode(text, { text_pair: pair, return_token_type_ids: true });
  return { ids: encoding.ids, typeIds: encoding.token_type_ids ?? new Array<number>(encoding.ids.length).fill(0), spans: null };
}

function toTokenizedText(encoding: JsEncoding, withSpans: boolean): TokenizedText {
  return { ids: encoding.getIds(), typeIds: encoding.getTypeIds(), spans: withSpans ? spansOf(encoding) : null };
}

function spansOf(encoding: JsEncoding): TokenSpan[] {
  const tokens = encoding.getTokens();
  const offsets = encoding.getOffsets();
  const special = encoding.getSpecialTokensMask();
  return tokens.map((token, i) => ({ token, start: offsets[i]?.[0] ?? 0, end: offsets[i]?.[1] ?? 0, special: special[i] === 1 }));
}

/** The JavaScript tokenizer when it gives the ids of the Rust one for every probe, or null. */
async function loadAgreeing(content: string, rust: RustTokenizer): Promise<JsTokenizer | null> {
  const js = tryJs(content);
  if (js === null) return null;
  const probes = [...PROBES, ...LETTERS];
  const encodings = await rust.encodeBatch(probes);
  const pair = await rust.encode(PROBES[0] as string, PROBES[1]);
  try {
    const agree = probes.every((text, i) => sameTokens(encodeWithJs(js, { text, pair: null }), encodings[i] as JsEncoding));
    return agree && sameTokens(encodeWithJs(js, { text: PROBES[0] as string, pair: PROBES[1] as string }), pair) ? js : null;
  } catch {
    return null; // it cannot tokenize what Rust can: not used
  }
}

function tryJs(content: string): JsTokenizer | null {
  try {
    return new JsTokenizer(JSON.parse(content) as object, {});
  } catch {
    return null; // a kind of tokenizer that it does not know: not used
  }
}

function sameTokens(tokens: TokenizedText, encoding: JsEncoding): boolean {
  return sameNumbers(tokens.ids, encoding.getIds()) && sameNumbers(tokens.typeIds, encoding.getTypeIds());
}

function sameNumbers(a: number[], b: number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

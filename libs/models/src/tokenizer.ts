import { createHash } from 'node:crypto';
import { Tokenizer as RustTokenizer, type JsEncoding } from 'tokenizers';
import { readBounded, unusable } from './model-files';
import { withLowercase } from './sentence/lower-case';
import { TOKENIZER_BYTES_MAX, type TruncationSide } from './tokenizer-config';
import { checkDefinition } from './tokenizer/check-definition';
import type { RawDefinition } from './tokenizer/raw-definition';
import { FastTokenizer, type TextAndPair, type TokenIds } from './tokenizer/fast-tokenizer';
import { Frame } from './tokenizer/frame';
import { withSpecialTokens, type SpecialToken } from './tokenizer/special-tokens';
import { runTrials } from './tokenizer/trial';
import { trialsOf } from './tokenizer/trial-texts';

export type { TextAndPair };

/** Tokenizers of this process by the hash of their file: models often have the same. */
const LOADED_MAX = 1024;
const loaded = new Map<string, WeakRef<TextTokenizer>>();

const ID_END = 2 ** 31;

/** Token ids of one row, special tokens included. */
export interface TokenizedText extends TokenIds {
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

interface LoadOptions {
  lowerCase?: boolean;
  specialTokens?: readonly SpecialToken[];
}

interface EncodingOptions {
  spans: boolean;
  /** Default true. */
  addSpecialTokens?: boolean;
}

export interface TruncationOptions {
  spans: boolean;
  /** Where tokens are taken away; null: where the `tokenizer.json` says. */
  side: TruncationSide | null;
  /** Tokens that the second text keeps at most. */
  pairTokensMax?: number;
}

/** Far too long texts lose their end before they are tokenized. */
export interface CutText extends TextAndPair {
  /** Whether the text, and the pair, were cut. */
  isCut?: readonly [boolean, boolean];
}

/**
 * A model's `tokenizer.json`. Truncation and padding that it may ask for are switched off: they are decided per request
 * and per run; only the side on which it truncates is kept.
 */
export class TextTokenizer {
  readonly vocabularySize: number;

  /** `fast` is null when only the Rust tokenizer is known to be right. */
  private constructor(
    private readonly rust: RustTokenizer,
    private readonly fast: FastTokenizer | null,
    private readonly truncatesLeft: boolean,
    /** What the tokenizer puts around a text. */
    readonly frame: Frame,
    private readonly specialIds: ReadonlySet<unknown>,
  ) {
    this.vocabularySize = rust.getVocabSize(true);
  }

  /**
   * Reads a `tokenizer.json`, and has it make texts lower case first when asked, and know these special tokens; throws a `ModelFileError`
   * when it cannot be used. Files that come to the same share one tokenizer.
   */
  static async load(path: string, { lowerCase = false, specialTokens = [] }: LoadOptions = {}): Promise<TextTokenizer> {
    const file = readBounded(path, TOKENIZER_BYTES_MAX).toString('utf8');
    try {
      const content = withSpecialTokens(lowerCase ? withLowercase(file) : file, specialTokens);
      const hash = createHash('sha256').update(content).digest('base64');
      const known = loaded.get(hash)?.deref();
      if (known !== undefined) return known;
      const tokenizer = await TextTokenizer.parse(content);
      if (loaded.size >= LOADED_MAX) loaded.clear();
      loaded.set(hash, new WeakRef(tokenizer));
      return tokenizer;
    } catch (error) {
      throw unusable(path, error);
    }
  }

  private static async parse(content: string): Promise<TextTokenizer> {
    const definition = JSON.parse(content) as RawDefinition;
    checkDefinition(definition);
    await runTrials(trialsOf(definition, content));
    const rust = RustTokenizer.fromString(content);
    rust.disableTruncation();
    rust.disablePadding();
    const truncatesLeft = definition.truncation?.direction === 'Left';
    const specialIds = new Set(definition.added_tokens?.filter(({ special }) => special === true).map(({ id }) => id));
    return new TextTokenizer(rust, await FastTokenizer.create(definition, rust), truncatesLeft, await Frame.of(rust), specialIds);
  }

  /** True when short texts are tokenized without leaving the thread. */
  get hasFastPath(): boolean {
    return this.fast !== null;
  }

  /** Tokenizes all texts. `spans` asks for the origin of each token. */
  async encode(texts: TextAndPair[], options: EncodingOptions): Promise<TokenizedText[]> {
    const { fast } = this;
    const { spans, addSpecialTokens = true } = options;
    if (fast === null || spans || !addSpecialTokens) return this.encodeAll(texts, options);
    const rows = texts.map((text) => fast.encodeWords(text));
    const others = texts.filter((_, i) => rows[i] === null);
    const encoded = fast.takes(others) ? others.map((text) => fast.encode(text)) : await this.encodeAll(others, options);
    let next = 0;
    return rows.map((row) => {
      const { ids, typeIds } = row ?? (encoded[next++] as TokenIds);
      return { ids, typeIds, spans: null };
    });
  }

  /**
   * Tokenizes one text and cuts it to `tokensMax` tokens, special tokens included and kept, as the Rust tokenizer does; of a
   * pair, tokens are taken from whichever is longer. Null when the rest of a cut text could change the tokens that are kept.
   */
  async encodeTruncated(text: CutText, tokensMax: number, options: TruncationOptions): Promise<TokenizedText | null> {
    const fromLeft = this.sideOf(options.side) === 'left';
    const encoding = await this.rust.encode(text.text, text.pair);
    const sequences = encoding.getSequenceIds();
    const indexes = [0, 1].map((sequence) => sequences.flatMap((id, i) => (id === sequence ? [i] : []))) as [number[], number[]];
    const specials = sequences.length - indexes[0].length - indexes[1].length;
    const lengths = [indexes[0].length, Math.min(indexes[1].length, options.pairTokensMax ?? Infinity)] as const;
    const shares = shareLength(lengths, specials, tokensMax);
    const kept = indexes.map((of, i) => takeShare(of, shares[i] as number, fromLeft)) as [number[], number[]];
    const isFarFromCut = (i: number): boolean => isAWordAway(encoding, { all: indexes[i] as number[], kept: kept[i] as number[] });
    const isExact = (text.isCut ?? []).every((isCut, i) => !isCut || (!fromLeft && isFarFromCut(i)));
    return isExact ? select(toTokenizedText(encoding, options.spans), new Set(kept.flat()), sequences) : null;
  }

  /** Where tokens are taken away; null: where the `tokenizer.json` says. */
  sideOf(side: TruncationSide | null): TruncationSide {
    return side ?? (this.truncatesLeft ? 'left' : 'right');
  }

  /** True for an id of the vocabulary; ids may have gaps, so some are beyond its size. */
  knows(id: unknown): boolean {
    return (
      typeof id === 'number' && Number.isInteger(id) && id >= 0 && (id < this.vocabularySize || (id < ID_END && this.tokenOf(id) !== null))
    );
  }

  /** True for the id of an added token that is special, wherever it comes from. */
  isSpecial(id: number): boolean {
    return this.specialIds.has(id);
  }

  /** The token of an id, or null when the vocabulary has no such id. */
  tokenOf(id: number): string | null {
    return this.rust.idToToken(id);
  }

  /** The texts that lists of ids stand for, as the decoder of the `tokenizer.json` makes them. */
  decode(ids: number[][], skipSpecialTokens: boolean): Promise<string[]> {
    return this.rust.decodeBatch(ids, skipSpecialTokens);
  }

  private async encodeAll(texts: TextAndPair[], { spans, addSpecialTokens = true }: EncodingOptions): Promise<TokenizedText[]> {
    return (await this.encodeWithRust(texts, addSpecialTokens)).map((encoding) => toTokenizedText(encoding, spans));
  }

  private encodeWithRust(texts: TextAndPair[], addSpecialTokens: boolean): Promise<JsEncoding[]> {
    const options = { addSpecialTokens };
    if (texts.every(({ pair }) => pair === null))
      return this.rust.encodeBatch(
        texts.map(({ text }) => text),
        options,
      );
    return Promise.all(texts.map(({ text, pair }) => this.rust.encode(text, pair, options))); // encodeBatch of 0.23.2 takes no pairs
  }
}

/**
 * How many tokens each of two texts keeps beside `specials`, so that all together they are at most `tokensMax`; the longer one is
 * cut first, and of equal ones the first. Found by trying the Python package (0.22.1 and 0.23.3) with all lengths up to 24; that of Node.js
 * (0.23.2) gives an odd token to the other text where the second one alone is too long.
 */
function shareLength([first, second]: readonly [number, number], specials: number, tokensMax: number): [number, number] {
  const room = Math.max(tokensMax - specials, 0);
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second, Math.floor(room / 2));
  return first > second ? [room - shorter, shorter] : [shorter, room - shorter];
}

function takeShare(indexes: number[], count: number, fromLeft: boolean): number[] {
  return fromLeft ? indexes.slice(indexes.length - count) : indexes.slice(0, count);
}

/** Whether a whole word of the text lies between the tokens that are kept and the word where the text was cut. */
function isAWordAway(encoding: JsEncoding, { all, kept }: { all: number[]; kept: number[] }): boolean {
  const words = encoding.getWordIds();
  const [inner, outer] = [words[kept.at(-1) ?? -1], words[all.at(-1) ?? -1]];
  return typeof inner === 'number' && typeof outer === 'number' && outer - inner > 1;
}

/** The tokens in `kept` and those that belong to no text. */
function select(
  { ids, typeIds, spans }: TokenizedText,
  kept: ReadonlySet<number>,
  sequences: (number | null | undefined)[],
): TokenizedText {
  const isKept = (_: unknown, i: number): boolean => kept.has(i) || typeof sequences[i] !== 'number';
  return { ids: ids.filter(isKept), typeIds: typeIds.filter(isKept), spans: spans?.filter(isKept) ?? null };
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

import { Tokenizer as JsTokenizer } from '@huggingface/tokenizers';
import type { Tokenizer as RustTokenizer } from 'tokenizers';
import { parseFastDefinition, type FastDefinition } from './fast-definition';
import { Frame } from './frame';
import { probesOf } from './probes';
import { WordPieces } from './word-pieces';

/**
 * Texts of a call up to this many characters altogether are tokenized at once by the JavaScript tokenizer, others on a
 * thread by the Rust one. Measured on 2 vCPUs with a 30k WordPiece vocabulary, one text: 60 characters JS 80 µs, Rust
 * 120 µs; 120: 165, 220; 250: 300–400, 250–400; 1000: 900, 700. The JavaScript time blocks the event loop.
 */
const CHARACTERS_MAX = 160;

/** Each text is searched for all of them. */
const ADDED_TOKENS_MAX = 512;

/**
 * Texts that the JavaScript tokenizer may have: Latin, Greek, Cyrillic, Armenian, kana, Han, Hangul and common
 * punctuation. Tried with every character of the BMP and BERT's normalizers, the two tokenizers differ only outside of
 * these: by their Unicode versions in other scripts, on U+0085, on U+FEFF, on a final sigma made lower case, and above
 * U+FFFF, where JavaScript's units are not characters.
 */
const FAST_TEXT = /^[\u0000-\u0084\u0086-\u03a2\u03a4-\u058f\u2000-\u206f\u20a0-\u20bf\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3]*$/;

export interface TextAndPair {
  text: string;
  pair: string | null;
}

export interface TokenIds {
  ids: number[];
  /** 0 for the first text and 1 for its pair. */
  typeIds: number[];
}

/**
 * The JavaScript tokenizer of a `tokenizer.json`, for what it does exactly as the Rust one: kinds of tokenizer that are listed
 * (`fast-definition.ts`), short texts of some scripts, and no text with an added token in it. The rest is not for it.
 */
export class FastTokenizer {
  private constructor(
    private readonly js: JsTokenizer,
    /** Matches an added token; null when there is none. */
    private readonly addedTokens: RegExp | null,
    /** JavaScript gives pairs other types after `RobertaProcessing`. */
    private readonly takesPairs: boolean,
    /** For many texts, and long ones; null: the tokenizer is not made for them. */
    private readonly words: { pieces: WordPieces; frame: Frame } | null,
  ) {}

  /** Null when the JavaScript tokenizer is not known to do the same as `rust`. `tokenizer` is what `tokenizer.json` holds. */
  static async create(tokenizer: unknown, rust: RustTokenizer): Promise<FastTokenizer | null> {
    const definition = parseFastDefinition(tokenizer);
    if (definition === null || definition.added_tokens.length > ADDED_TOKENS_MAX) return null;
    // Texts with added tokens go to Rust; known to JavaScript, they would also match what a normalizer makes of other texts.
    const js = new JsTokenizer({ ...definition, added_tokens: [], decoder: null }, {});
    const takesPairs = definition.post_processor.type === 'TemplateProcessing';
    const fast = new FastTokenizer(js, patternOf(definition), takesPairs, await wordsOf(definition, rust));
    return (await fast.agreesWith(rust, definition)) ? fast : null;
  }

  takes(texts: readonly TextAndPair[]): boolean {
    let characters = 0;
    for (const { text, pair } of texts) {
      characters += text.length + (pair?.length ?? 0);
      if (characters > CHARACTERS_MAX || !this.isEasy(text)) return false;
      if (pair !== null && (!this.takesPairs || pair === '' || !this.isEasy(pair))) return false;
    }
    return true;
  }

  encode({ text, pair }: TextAndPair): TokenIds {
    const encoding = this.js.encode(text, { text_pair: pair, return_token_type_ids: true });
    return { ids: encoding.ids, typeIds: encoding.token_type_ids ?? new Array<number>(encoding.ids.length).fill(0) };
  }

  /** Of a text of simple words, whatever its length; null: it is none, or the tokenizer has no words of its own. */
  encodeWords({ text, pair }: TextAndPair): TokenIds | null {
    if (this.words === null || pair !== null || this.addedTokens?.test(text) === true) return null;
    const { pieces, frame } = this.words;
    const ids = [...frame.before];
    if (!pieces.append(text, ids)) return null;
    ids.push(...frame.after);
    return { ids, typeIds: zeros(ids.length) };
  }

  private isEasy(text: string): boolean {
    return FAST_TEXT.test(text) && !this.addedTokens?.test(text);
  }

  private async agreesWith(rust: RustTokenizer, definition: FastDefinition): Promise<boolean> {
    const probes = probesOf(definition).filter((text) => this.takes([{ text, pair: null }]));
    const encodings = await rust.encodeBatch(probes);
    const pair = { text: probes[0] as string, pair: probes[1] as string };
    const pairEncoding = await rust.encode(pair.text, pair.pair);
    const isSame = (text: TextAndPair, encoding: (typeof encodings)[number] | undefined): boolean =>
      encoding !== undefined &&
      [this.encode(text), this.encodeWords(text) ?? this.encode(text)].every(
        ({ ids, typeIds }) => areEqual(ids, encoding.getIds()) && areEqual(typeIds, encoding.getTypeIds()),
      );
    return probes.every((text, i) => isSame({ text, pair: null }, encodings[i])) && (!this.takes([pair]) || isSame(pair, pairEncoding));
  }
}

async function wordsOf(definition: FastDefinition, rust: RustTokenizer): Promise<{ pieces: WordPieces; frame: Frame } | null> {
  const pieces = WordPieces.of(definition);
  const encoding = await rust.encode('a');
  return pieces === null || encoding.getTypeIds().some((type) => type !== 0) ? null : { pieces, frame: await Frame.of(rust) };
}

const zerosByLength = new Map<number, number[]>();
const ZEROS_MAX = 512;

/** Of a length up to the limit always the same ones, which nobody may change. */
function zeros(length: number): number[] {
  const known = zerosByLength.get(length);
  if (known !== undefined) return known;
  const made = new Array<number>(length).fill(0);
  if (length <= ZEROS_MAX) zerosByLength.set(length, made);
  return made;
}

function patternOf({ added_tokens: tokens }: FastDefinition): RegExp | null {
  const contents = tokens.map(({ content }) => content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return contents.length === 0 ? null : new RegExp(contents.join('|'));
}

function areEqual(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

import type { FastDefinition } from './fast-definition';

type WordPieceDefinition = Extract<FastDefinition, { model: { type: 'WordPiece' } }>;

/** Words that are kept; those used longest ago go first, roughly. 2 MB at most. */
const WORDS_MAX = 8192;
/** Longer ones are rare, and so are numbers of so many digits: they are cut anew each time. */
const WORD_CHARACTERS_MAX = 64;
const DIGITS_MAX = 3;

const ASCII_MAX = 0x7e;
const SPACE = 0x20;
const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * BERT's tokenizer for ASCII texts without control characters: of such a text each word and each sign becomes the same tokens
 * wherever it stands, so the tokens of a word are computed once. One text takes about 20 ns a character.
 */
export class WordPieces {
  private readonly starts = new Map<string, number>();
  /** Without their prefix. */
  private readonly continuations = new Map<string, number>();
  private readonly unknown: readonly number[];
  private readonly charactersMax: number;
  private readonly lowercase: boolean;
  private young = new Map<string, readonly number[]>();
  private old = new Map<string, readonly number[]>();

  private constructor({ model, normalizer }: WordPieceDefinition) {
    const { vocab, unk_token: unknown, continuing_subword_prefix: prefix } = model;
    for (const [token, id] of Object.entries(vocab)) {
      this.starts.set(token, id);
      if (token.startsWith(prefix)) this.continuations.set(token.slice(prefix.length), id);
    }
    this.unknown = [vocab[unknown] as number];
    this.charactersMax = model.max_input_chars_per_word;
    this.lowercase = normalizer?.type === 'BertNormalizer' && normalizer.lowercase;
  }

  /** Null: the tokenizer is another one. */
  static of(definition: FastDefinition): WordPieces | null {
    const { model, normalizer } = definition;
    if (model.type !== 'WordPiece' || (normalizer !== null && normalizer.type !== 'BertNormalizer')) return null;
    return new WordPieces(definition as WordPieceDefinition);
  }

  /** Appends the tokens of the text to `ids`. False: there is a character that is not for it, and `ids` are of no use. */
  append(text: string, ids: number[]): boolean {
    let start = 0;
    let at = 0;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (isLetterOrDigit(code)) continue;
      if (start < at) this.appendWord(text.slice(start, at), ids);
      start = at + 1;
      if (code > SPACE && code <= ASCII_MAX) this.appendWord(text[at] as string, ids);
      else if (!isSpace(code)) return false;
    }
    if (start < at) this.appendWord(text.slice(start), ids);
    return true;
  }

  private appendWord(word: string, ids: number[]): void {
    const pieces = this.young.get(word) ?? this.remembered(word);
    for (let i = 0; i < pieces.length; i++) ids.push(pieces[i] as number);
  }

  private remembered(word: string): readonly number[] {
    const pieces = this.old.get(word) ?? this.cut(word);
    if (word.length > WORD_CHARACTERS_MAX || (word.length > DIGITS_MAX && isDigit(word.charCodeAt(word.length - 1)))) return pieces;
    if (this.young.size >= WORDS_MAX / 2) {
      this.old = this.young;
      this.young = new Map();
    }
    // A slice would keep the whole text in memory.
    this.young.set(Buffer.from(word, 'latin1').toString('latin1'), pieces);
    return pieces;
  }

  /** The longest token first, then the longest that continues it; a word with a part that is no token is unknown as a whole. */
  private cut(word: string): readonly number[] {
    if (word.length > this.charactersMax) return this.unknown;
    const normal = this.lowercase ? word.toLowerCase() : word;
    const pieces: number[] = [];
    for (let start = 0; start < normal.length;) {
      let end = normal.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = (start === 0 ? this.starts : this.continuations).get(normal.slice(start, end));
        if (id !== undefined) break;
      }
      if (id === undefined) return this.unknown;
      pieces.push(id);
      start = end;
    }
    return pieces;
  }
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

function isLetterOrDigit(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || isDigit(code);
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB || code === LINE_FEED || code === CARRIAGE_RETURN;
}

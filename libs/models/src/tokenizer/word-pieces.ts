import type { FastDefinition } from './fast-definition';
import { ASCII_END, PieceTrie } from './piece-trie';

type WordPieceDefinition = Extract<FastDefinition, { model: { type: 'WordPiece' } }>;

const PRINTABLE_FIRST = 0x20;
const PRINTABLE_LAST = 0x7e;
const WORD_CHARACTER = /[a-zA-Z0-9]/;
const SPACE = /[ \t\n\r]/;

/** Of all pieces: far more than any tokenizer has, and few enough for the trie's whole numbers of 32 bits. */
const VOCABULARY_CHARACTERS_MAX = 4 * 1024 * 1024;
const ID_MAX = 2 ** 31 - 1;

/** A UTF-16 unit takes at most so many bytes of UTF-8. */
const UNIT_BYTES_MAX = 3;
const SCRATCH_BYTES = 64 * 1024;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** What a byte is in a text. */
const OTHER = 0;
const WORD = 1;
const SIGN = 2;
const GAP = 3;
const KINDS = Uint8Array.from({ length: ASCII_END }, (_, code) => kindOf(code));

/** BERT's tokenizer for ASCII texts without control characters: of such a text each word and each sign is cut by itself. */
export class WordPieces {
  private readonly starts: PieceTrie;
  /** Without their prefix. */
  private readonly continuations: PieceTrie;
  private readonly unknown: number;
  private readonly charactersMax: number;
  /** What each ASCII character is taken for. */
  private readonly folded: Uint8Array;

  private constructor({ model, normalizer }: WordPieceDefinition) {
    const { vocab, unk_token: unknown, continuing_subword_prefix: prefix } = model;
    const pieces = Object.entries(vocab);
    this.starts = new PieceTrie(pieces);
    this.continuations = new PieceTrie(
      pieces.filter(([piece]) => piece.startsWith(prefix)).map(([piece, id]) => [piece.slice(prefix.length), id] as const),
    );
    this.unknown = vocab[unknown] as number;
    this.charactersMax = model.max_input_chars_per_word;
    const lowercase = normalizer?.type === 'BertNormalizer' && normalizer.lowercase;
    this.folded = Uint8Array.from({ length: ASCII_END }, (_, code) => {
      const character = String.fromCharCode(code);
      return (lowercase ? character.toLowerCase() : character).charCodeAt(0);
    });
  }

  /** Null: the tokenizer is another one, or larger than this is made for. */
  static of(definition: FastDefinition): WordPieces | null {
    const { model, normalizer } = definition;
    if (model.type !== 'WordPiece' || (normalizer !== null && normalizer.type !== 'BertNormalizer')) return null;
    const pieces = Object.entries(model.vocab);
    const characters = pieces.reduce((sum, [piece]) => sum + piece.length, 0);
    if (characters > VOCABULARY_CHARACTERS_MAX || pieces.some(([, id]) => id > ID_MAX)) return null;
    return new WordPieces(definition as WordPieceDefinition);
  }

  /** Appends the tokens of the text to `ids`. False: there is a character that is not for it, and `ids` are of no use. */
  append(text: string, ids: number[]): boolean {
    // V8 has many kinds of strings, and code that has met them all asks for the kind at each character.
    const room = text.length * UNIT_BYTES_MAX;
    const bytes = room <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(room);
    const end = bytes.write(text, 'utf8');
    let start = 0;
    for (let at = 0; at < end; at++) {
      const byte = bytes[at] as number;
      const kind = byte < ASCII_END ? KINDS[byte] : OTHER;
      if (kind === WORD) continue;
      if (kind === OTHER) return false;
      if (start < at) this.appendWord(bytes, start, at, ids);
      if (kind === SIGN) this.appendWord(bytes, at, at + 1, ids);
      start = at + 1;
    }
    if (start < end) this.appendWord(bytes, start, end, ids);
    return true;
  }

  /** The longest token first, then the longest that continues it; a word with a part that is no token is unknown as a whole. */
  private appendWord(text: Uint8Array, start: number, end: number, ids: number[]): void {
    const known = ids.length;
    let trie = this.starts;
    for (let at = start; at < end; trie = this.continuations) {
      const node = end - start > this.charactersMax ? 0 : trie.longest(text, at, end, this.folded);
      if (node === 0) {
        ids.length = known;
        ids.push(this.unknown);
        return;
      }
      ids.push(trie.idOf(node));
      at += trie.lengthOf(node);
    }
  }
}

function kindOf(code: number): number {
  const character = String.fromCharCode(code);
  if (WORD_CHARACTER.test(character)) return WORD;
  if (SPACE.test(character)) return GAP;
  return code > PRINTABLE_FIRST && code <= PRINTABLE_LAST ? SIGN : OTHER;
}

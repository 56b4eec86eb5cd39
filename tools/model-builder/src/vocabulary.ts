/** In this order, so that padding is id 0. */
export const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;

/** Inclusive ranges of code points that form words: each gets a token at the start and one inside of a word. */
const WORD_RANGES: readonly (readonly [number, number])[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x61, 0x7a], // digits and letters of ASCII
  [0xc0, 0x24f],
  [0x250, 0x2ff],
  [0x300, 0x36f], // Latin with marks, phonetic letters, combining marks
  [0x370, 0x3ff],
  [0x400, 0x52f],
  [0x531, 0x587],
  [0x591, 0x5f2], // Greek, Cyrillic, Armenian, Hebrew
  [0x610, 0x6ff],
  [0x710, 0x74f],
  [0x750, 0x77f],
  [0x780, 0x7b1],
  [0x7c0, 0x7f5],
  [0x8a0, 0x8ff], // Arabic, Syriac, Thaana, N'Ko
  [0x900, 0xd7f],
  [0xd80, 0xdf3],
  [0xe01, 0xe4e],
  [0xe81, 0xedf],
  [0xf00, 0xfbc], // scripts of South Asia, Thai, Lao, Tibetan
  [0x1000, 0x109f],
  [0x10a0, 0x10ff],
  [0x1200, 0x138f],
  [0x13a0, 0x13fd],
  [0x1401, 0x167f], // Myanmar, Georgian, Ethiopic, Cherokee, Canadian
  [0x1780, 0x17dd],
  [0x1810, 0x18aa],
  [0x1980, 0x19df],
  [0x1a20, 0x1aad],
  [0x1b00, 0x1bbf],
  [0x1c50, 0x1c7d], // Khmer, Mongolian and others
  [0x1e00, 0x1eff],
  [0x1f00, 0x1fff],
  [0x200c, 0x200d],
  [0x2d30, 0x2d7f], // Latin and Greek with more marks, joiners, Tifinagh
  [0x3041, 0x309f],
  [0x30a1, 0x30ff],
  [0xa000, 0xa48c],
  [0xa4d0, 0xa4fd],
  [0xa500, 0xa62b],
  [0xa780, 0xa7bf], // kana, Yi, Lisu, Vai, Latin
  [0x1700, 0x171f],
  [0xa980, 0xa9df],
  [0xaa00, 0xaa5f],
  [0xaa60, 0xaaf6],
  [0xab70, 0xabf9], // Tagalog, Javanese, Cham, Tai Viet, Cherokee, Meetei
  [0x11100, 0x11147],
  [0x11300, 0x1137f],
  [0x1e900, 0x1e959], // Chakma, Grantha, Adlam
];

/** Punctuation and symbols: the pre-tokenizer makes each a word of its own, so one token is enough. */
const SINGLE_RANGES: readonly (readonly [number, number])[] = [
  [0x21, 0x2f],
  [0x3a, 0x40],
  [0x5b, 0x60],
  [0x7b, 0x7e],
  [0xa1, 0xbf],
  [0x2010, 0x2027],
  [0x2030, 0x205e],
  [0x20a0, 0x20c0],
  [0x3001, 0x3020],
  [0xff01, 0xff5e],
];

/** Code pages whose first level lists the characters of everyday use, in the order lead byte, trail byte. */
const HANGUL_PAGE = { encoding: 'euc-kr', leads: [0xb0, 0xc8], trails: [0xa1, 0xfe] } as const;
const HAN_PAGES = [
  { encoding: 'gb18030', leads: [0xb0, 0xd7], trails: [0xa1, 0xfe] },
  { encoding: 'euc-jp', leads: [0xb0, 0xcf], trails: [0xa1, 0xfe] },
  { encoding: 'big5', leads: [0xa4, 0xc6], trails: [0x40, 0xfe] },
] as const;

/**
 * A WordPiece vocabulary of exactly `size` tokens that covers the scripts of the world by characters and English-like
 * text by pairs of letters. Made from ranges and code pages only, so it needs no corpus and never changes; the rarest
 * Han characters are cut off first, and what is missing is filled with `[unused<n>]`.
 */
export function buildVocabulary(size: number): string[] {
  const tokens = new Set<string>(SPECIAL_TOKENS);
  for (const char of characters(SINGLE_RANGES)) tokens.add(char);
  for (const char of characters(WORD_RANGES)) addWordPieces(tokens, char);
  for (const pair of letterPairs()) {
    addWordPieces(tokens, pair);
    tokens.add((pair[0] as string).toUpperCase() + pair[1]);
  }
  for (const char of codePage(HANGUL_PAGE)) addWordPieces(tokens, char);
  for (const page of HAN_PAGES) for (const char of codePage(page)) tokens.add(char);
  for (let i = 0; tokens.size < size; i++) tokens.add(`[unused${i}]`);
  return [...tokens].slice(0, size);
}

function addWordPieces(tokens: Set<string>, piece: string): void {
  tokens.add(piece);
  tokens.add(`##${piece}`);
}

function* characters(ranges: readonly (readonly [number, number])[]): Generator<string> {
  for (const [first, last] of ranges) for (let code = first; code <= last; code++) yield String.fromCodePoint(code);
}

/** `aa` … `zz`. */
function* letterPairs(): Generator<string> {
  const letters = [...characters([[0x61, 0x7a]])];
  for (const first of letters) for (const second of letters) yield first + second;
}

function* codePage(page: { encoding: string; leads: readonly [number, number]; trails: readonly [number, number] }): Generator<string> {
  const decoder = new TextDecoder(page.encoding);
  for (let lead = page.leads[0]; lead <= page.leads[1]; lead++) {
    for (let trail = page.trails[0]; trail <= page.trails[1]; trail++) {
      const text = decoder.decode(Uint8Array.of(lead, trail));
      if ([...text].length === 1 && text !== '\ufffd') yield text;
    }
  }
}

